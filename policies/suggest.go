package policies

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// maxSuggestedPaths is how many patterns a suggestion spells out.
const maxSuggestedPaths = 8

// Suggest returns, in HCL, the smallest rule that would allow a request which
// the policy denies. Where no rule could, it returns a comment that says why,
// and for a request that is allowed nothing. It does not end in a newline.
func (p *Policy) Suggest(r Request) string {
	d := p.Decide(r)
	q, _ := p.newQuery(r)
	switch {
	case d.Allowed:
		return ""
	case d.Reason == ReasonInvalidRequest:
		return "# No rule can allow this: the request is malformed."
	case d.Reason == ReasonAmbiguousPath:
		return "# No rule can allow this: servers may differ about which path it is."
	case d.Reason == ReasonUnusableAddress || q.class&addrUnusable != 0:
		return "# No rule can allow this: the host has no address that can be connected to."
	}
	if deny := p.obstacle(&q); deny != nil {
		return fmt.Sprintf("# The rule %s at %s denies this, and a deny always wins: narrow that rule.", quote(deny.name), deny.at)
	}
	patterns, ok := suggestedPaths(&q)
	if !ok {
		return "# The path is too long, or has too many readings, for a rule to spell out."
	}
	return formatRule(p.unusedName(suggestedName(&q)), suggestedArguments(&q, r.Protocol, patterns))
}

// obstacle returns a deny that stands in the way of every allow.
func (p *Policy) obstacle(q *query) *rule {
	if deny := p.firstDeny(q, matchesWhole); deny != nil {
		return deny
	}
	if q.protocol&opaque != 0 {
		return p.firstDeny(q, matchesWithin)
	}
	return nil
}

// argument is one line of a suggested rule.
type argument struct {
	name, value string
}

func suggestedArguments(q *query, protocol Protocol, patterns []string) []argument {
	var args []argument
	if q.protocol != protoHTTP {
		args = append(args, argument{"protocol", quote(string(protocol))})
	}
	if q.protocol != protoUnix {
		args = append(args, argument{"hosts", quoteList(suggestedHosts(q))})
		if q.protocol != protoHTTP || q.port != 80 && q.port != 443 {
			args = append(args, argument{"ports", fmt.Sprintf("[%d]", q.port)})
		}
	}
	if methods := suggestedMethods(q); len(methods) > 0 {
		args = append(args, argument{"methods", quoteList(methods)})
	}
	if len(patterns) > 0 {
		args = append(args, argument{"paths", quoteList(patterns)})
	}
	if q.class&addrPrivate != 0 {
		args = append(args, argument{"private", "true"})
	}
	return args
}

// suggestedMethods names each method once. Where one is "*" or has lower case,
// which a rule can't name, it names none, and so the rule is about every method.
func suggestedMethods(q *query) []string {
	var methods []string
	for _, method := range q.methods[:q.nMethods] {
		if method == "" || method == "*" || method != strings.ToUpper(method) {
			return nil
		}
		if !slices.Contains(methods, method) {
			methods = append(methods, method)
		}
	}
	return methods
}

// suggestedHosts names the host, and each address that a rule must name.
func suggestedHosts(q *query) []string {
	hosts := []string{q.host}
	for _, addr := range q.addrs[:q.nAddrs] {
		if text := addr.String(); classify(addr)&addrMetadata != 0 && !slices.Contains(hosts, text) {
			hosts = append(hosts, text)
		}
	}
	return hosts
}

// suggestedPaths returns a pattern for each reading.
func suggestedPaths(q *query) ([]string, bool) {
	if len(q.readings) > maxSuggestedPaths {
		return nil, false
	}
	var patterns []string
	for _, reading := range q.readings {
		pattern := escapePath(reading)
		if q.protocol == protoUnix {
			pattern = escapeSocket(reading)
		}
		if len(reading) > maxGlobTokens {
			return nil, false
		}
		if !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	return patterns, true
}

// escapePath writes a path in its plain form as a pattern that matches it
// alone.
func escapePath(plain string) string {
	var b strings.Builder
	for i := range len(plain) {
		c := plain[i]
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()+,;=:@/%", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// escapeSocket writes the path of a socket as a pattern. These have no escapes,
// so a star, and what a policy file can't hold as it is, becomes a star.
func escapeSocket(path string) string {
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		switch c := path[i]; {
		case c != '*' && ' ' <= c && c < 0x7f:
			b = append(b, c)
		case len(b) == 0 || b[len(b)-1] != '*':
			b = append(b, '*')
		}
	}
	return string(b)
}

// suggestedName names a rule after what it is about.
func suggestedName(q *query) string {
	switch q.protocol {
	case protoUnix:
		return "socket"
	case protoHTTP:
		return q.host
	}
	return net.JoinHostPort(q.host, strconv.Itoa(int(q.port)))
}

// unusedName makes of a name one that no rule has.
func (p *Policy) unusedName(name string) string {
	used := func(name string) bool {
		return slices.ContainsFunc(p.rules, func(r *rule) bool { return r.name == name })
	}
	unused := name
	for i := 2; used(unused); i++ {
		unused = fmt.Sprintf("%s %d", name, i)
	}
	return unused
}

// formatRule writes a rule as HCL's formatter does.
func formatRule(name string, args []argument) string {
	width := 0
	for _, a := range args {
		width = max(width, len(a.name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "allow %s {\n", quote(name))
	for _, a := range args {
		fmt.Fprintf(&b, "  %-*s = %s\n", width, a.name, a.value)
	}
	b.WriteString("}")
	return b.String()
}

func quoteList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote writes a text without control characters as a string of HCL, in which
// "${" and "%{" would begin a template.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{").Replace(text) + `"`
}
