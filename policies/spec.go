package policies

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// specName is the name under which the specs of a command line appear in
// diagnostics and in Decision.RuleAt: the third is "--allow:3".
const specName = "--allow"

// spec is an allow rule in one line. Each part remembers its offset.
type spec struct {
	text     string
	protocol *specPart
	methods  []specPart
	host     *specPart
	port     *specPart
	path     *specPart
}

type specPart struct {
	text       string
	start, end int // bytes of the spec's text
}

// ParseSpec reads an allow rule in one line, as a command line takes it:
//
//	[METHOD[,METHOD]…] [http://|https://]HOST[:PORT][/PATH]
//	tcp HOST:PORT
//	udp HOST:PORT
//	tls HOST[:PORT]
//	unix PATH
//
// Hosts and paths are patterns, as in `hosts` and `paths`. Without a path any
// is allowed, so "example.com/" is the root alone. An IPv6 address with a port
// or a path stands in brackets. The rule is named after the text, with one space
// between words. Where the host is written as an address, as a network or as
// "localhost", the rule has `private = true`: nobody writes an inward address
// without meaning it.
func ParseSpec(text string) (Source, error) {
	s, err := readSpec(text)
	if err != nil {
		return Source{}, fmt.Errorf("read rule %q: %w", text, err)
	}
	source := Source{name: specName, spec: s}
	if _, diags := Compile(Options{}, source); diags.HasErrors() {
		return Source{}, fmt.Errorf("read rule %q: %s", text, diags.list[0].Detail)
	}
	return source, nil
}

// readSpec takes a spec apart.
func readSpec(text string) (*spec, error) {
	text = joinWords(splitWords(text))
	s := &spec{text: text}
	words := splitWords(text)
	switch {
	case len(words) == 0:
		return nil, errors.New("it is empty")
	case len(words) > 2:
		return nil, errors.New("it has more than methods and a target; put two rules into two options")
	case len(words) == 2:
		s.readFirst(words[0])
	case isMethods(text):
		return nil, fmt.Errorf("it has methods and no target; write %q", text+" HOST/PATH")
	}
	target := words[len(words)-1]
	if s.protocol != nil && s.protocol.text == string(Unix) {
		s.path = &target
		return s, nil
	}
	return s, s.readTarget(target)
}

// isMethods says whether a lone word is one or more of the usual methods, which
// as a host nobody means.
func isMethods(word string) bool {
	for method := range strings.SplitSeq(word, ",") {
		switch method {
		case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", WebSocket:
		default:
			return false
		}
	}
	return true
}

// readFirst reads the word before the target: a protocol in lower case, or
// methods in upper case.
func (s *spec) readFirst(word specPart) {
	if word.text == strings.ToLower(word.text) {
		s.protocol = &word
		return
	}
	for rest := word; ; {
		i := strings.IndexByte(rest.text, ',')
		if i < 0 {
			s.methods = append(s.methods, rest)
			return
		}
		s.methods = append(s.methods, rest.cut(0, i))
		rest = rest.cut(i+1, len(rest.text))
	}
}

// readTarget reads [SCHEME://]HOST[:PORT][/PATH].
func (s *spec) readTarget(target specPart) error {
	if i := strings.Index(target.text, "://"); i >= 0 {
		scheme := target.cut(0, i)
		target = target.cut(i+len("://"), len(target.text))
		port, ok := map[string]string{"http": "80", "https": "443"}[strings.ToLower(scheme.text)]
		if !ok || s.protocol != nil && s.protocol.text != string(HTTP) {
			return fmt.Errorf("the scheme %q is not known; write http:// or https://, or tcp HOST:PORT", scheme.text)
		}
		s.port = &specPart{text: port, start: scheme.start, end: scheme.end}
	}
	if i := strings.IndexByte(target.text, '/'); i >= 0 && !isNet(target.text) {
		path := target.cut(i, len(target.text))
		s.path = &path
		target = target.cut(0, i)
	}
	if strings.Contains(target.text, "@") {
		return errors.New("a host has no user name and no password")
	}
	host, port, err := splitPort(target)
	if err != nil {
		return err
	}
	s.host = &host
	if port != nil {
		s.port = port
	}
	return nil
}

// isNet says whether a target is a CIDR and not a host with a path.
func isNet(text string) bool {
	_, err := netip.ParsePrefix(text)
	return err == nil
}

// splitPort splits HOST[:PORT]; an IPv6 address stands in brackets where it has
// a port.
func splitPort(target specPart) (host specPart, port *specPart, err error) {
	text := target.text
	colon := strings.LastIndexByte(text, ':')
	bracket := strings.LastIndexByte(text, ']')
	if colon < 0 || colon < bracket || (bracket < 0 && strings.Count(text, ":") > 1) {
		return target, nil, nil
	}
	p := target.cut(colon+1, len(text))
	if p.text == "" {
		return target, nil, errors.New("a port follows the colon")
	}
	return target.cut(0, colon), &p, nil
}

// splitWords splits at spaces and keeps the offsets.
func splitWords(text string) []specPart {
	var words []specPart
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		end := i
		for end < len(text) && text[end] != ' ' && text[end] != '\t' {
			end++
		}
		words = append(words, specPart{text: text[i:end], start: i, end: end})
		i = end
	}
	return words
}

// joinWords puts one space between words.
func joinWords(words []specPart) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = word.text
	}
	return strings.Join(texts, " ")
}

func (p specPart) cut(from, to int) specPart {
	return specPart{text: p.text[from:to], start: p.start + from, end: p.start + to}
}

// specFile makes one file of all specs, one a line, for the diagnostics.
type specFile struct {
	specs []spec
}

// add appends a spec, unless it is there already.
func (f *specFile) add(s spec) {
	for _, other := range f.specs {
		if other.text == s.text {
			return
		}
	}
	f.specs = append(f.specs, s)
}

// decodeSpecs turns the specs into rules.
func (d *decoder) decodeSpecs() {
	if len(d.specs.specs) == 0 {
		return
	}
	var src strings.Builder
	for i, s := range d.specs.specs {
		line := specLine{number: i + 1, offset: src.Len()}
		d.rules = append(d.rules, s.rule(line))
		// A spec is one line, whatever it holds: it is a rule's name too, and
		// that may have no control characters.
		src.WriteString(strings.NewReplacer("\n", " ", "\r", " ").Replace(s.text))
		src.WriteByte('\n')
	}
	d.diags.names = append(d.diags.names, specName)
	d.diags.files[specName] = &hcl.File{Bytes: []byte(src.String())}
}

// specLine is the place of a spec in the file that specFile makes.
type specLine struct {
	number, offset int
}

// place returns the range of a part of the line.
func (l specLine) place(start, end int) hcl.Range {
	pos := func(at int) hcl.Pos { return hcl.Pos{Line: l.number, Column: at + 1, Byte: l.offset + at} }
	return hcl.Range{Filename: specName, Start: pos(start), End: pos(end)}
}

func (l specLine) item(p specPart) item { return item{text: p.text, at: l.place(p.start, p.end)} }

func (l specLine) list(parts ...specPart) *rawList {
	list := &rawList{at: l.place(parts[0].start, parts[len(parts)-1].end)}
	for _, p := range parts {
		list.items = append(list.items, l.item(p))
	}
	return list
}

// rule writes the spec as a rule.
func (s spec) rule(line specLine) rawRule {
	whole := line.place(0, len(s.text))
	raw := rawRule{name: item{text: s.text, at: whole}, at: whole}
	if s.protocol != nil {
		protocol := line.item(*s.protocol)
		raw.protocol = &protocol
	}
	if len(s.methods) > 0 {
		raw.methods = line.list(s.methods...)
	}
	if s.port != nil {
		raw.ports = line.list(*s.port)
	}
	if s.path != nil {
		raw.paths = line.list(*s.path)
	}
	if s.host != nil {
		raw.hosts = line.list(*s.host)
		if h, err := parseHostPattern(s.host.text); err == nil && (h.kind == hostAddr || h.kind == hostNet || h.kind == hostLocalhost) {
			raw.private = &item{text: "true", at: raw.hosts.at}
		}
	}
	return raw
}
