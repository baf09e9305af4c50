package audit

import (
	"net/url"
	"slices"
	"strings"
)

// QueryNames returns the names in a query, each once, in order and decoded where that is possible. raw is what follows
// the question mark. A part without an equals sign is a name. Past 65 names, one more than is recorded, it stops.
func QueryNames(raw string) []string {
	var names []string
	for part := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
		if len(names) > maxList {
			break
		}
	}
	return names
}

// maskNames masks the names that have the shape of a credential. It returns names itself where there is none.
func maskNames(names []string) []string {
	out := names
	for i, name := range names {
		masked := maskText(name)
		if masked == name {
			continue
		}
		if &out[0] == &names[0] {
			out = slices.Clone(names)
		}
		out[i] = masked
	}
	return out
}
