package policies

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// maxRuleName is the longest name of a rule, in bytes: it is repeated in every
// audit record.
const maxRuleName = 200

// checked is what compile needs. It is complete only where the diagnostics
// have no errors.
type checked struct {
	rules   []*rule
	resolve map[resolveKey]resolved
	caFiles []string
	proxy   *url.URL
	require []string
	public  []uint16
}

// validator checks what was decoded.
type validator struct {
	diags *Diagnostics
	out   *checked
}

// validate checks everything that the decoder found, and adds to its
// diagnostics.
func validate(d *decoder) *checked {
	v := &validator{diags: d.diags, out: &checked{resolve: map[resolveKey]resolved{}}}
	named := map[string]hcl.Range{}
	for i, raw := range d.rules {
		v.name(raw, named)
		r := v.rule(raw)
		r.order = i
		v.out.rules = append(v.out.rules, r)
	}
	for _, raw := range d.resolve {
		v.resolve(raw)
	}
	for _, file := range d.caFiles {
		v.caFile(file)
	}
	for _, proxy := range d.proxies {
		v.proxy(proxy)
	}
	for _, guard := range d.require {
		v.guard(guard, d.opts.Guards)
	}
	for _, list := range d.public {
		v.publicPorts(list)
	}
	v.conflicts()
	return v.out
}

// name checks the name of a rule, and that no other has it.
func (v *validator) name(raw rawRule, named map[string]hcl.Range) {
	name := raw.name.text
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case name == "" || strings.TrimSpace(name) != name:
		v.diags.errorAt(raw.name.at, "Invalid rule name", "A rule has a name, without spaces around it: audit records and denials show it.")
	case strings.ContainsFunc(name, unprintable):
		v.diags.errorAt(raw.name.at, "Invalid rule name", "The name of a rule has no control characters.")
	case len(name) > maxRuleName:
		v.diags.errorAt(raw.name.at, "Invalid rule name", "The name of a rule is at most %d bytes long; this one has %d.", maxRuleName, len(name))
	}
	if first, ok := named[name]; ok {
		v.diags.errorAt(raw.name.at, "Duplicate rule name", "There is a rule %q at %s already. Give this one, at %s, another name: records show rules by it.",
			name, place(first), place(raw.at))
		return
	}
	named[name] = raw.at
}

// rule checks one rule. What it returns is complete only where it added no
// diagnostic.
func (v *validator) rule(raw rawRule) *rule {
	r := &rule{name: raw.name.text, at: place(raw.at), deny: raw.deny, maxBytes: -1, rng: raw.at}
	r.protocols = v.protocol(raw)
	v.applicable(raw, r.protocols)
	if r.protocols != protoUnix {
		r.hosts = v.hosts(raw, r.protocols)
		r.ports = v.ports(raw, r.protocols)
	}
	r.methods = v.methods(raw.methods)
	switch r.protocols {
	case protoHTTP:
		r.paths = v.globs("paths", raw.paths, parsePathGlob)
	case protoUnix:
		r.paths = v.globs("paths", raw.paths, parseSocketGlob)
	}
	r.process = v.globs("process", raw.process, parseProcessGlob)
	r.ancestor = v.globs("ancestor", raw.ancestor, parseProcessGlob)
	r.private = raw.private != nil && raw.private.text == "true"
	r.maxBytes = v.maxBytes(raw, r.methods)
	return r
}

// protocol returns what a rule is about, or nothing where that is not known.
func (v *validator) protocol(raw rawRule) protocols {
	known := []string{string(HTTP), string(TCP), string(UDP), string(TLS), string(Unix)}
	switch {
	case raw.protocol == nil && raw.deny && raw.methods == nil && raw.paths == nil:
		return anyHostProtocol
	case raw.protocol == nil:
		return protoHTTP
	case raw.protocol.bad:
		return 0
	}
	p := raw.protocol
	if set := protocolSet(Protocol(p.text)); set != 0 {
		return set
	}
	hint := p.hint(known)
	switch strings.ToLower(p.text) {
	case "https", "websocket", "ws", "wss":
		hint = " Did you mean \"http\"? It covers HTTPS and WebSockets too."
	case "ssl":
		hint = " Did you mean \"tls\"?"
	}
	v.diags.errorAt(p.at, "Invalid protocol", "A protocol is one of %s; found %s.%s", oneOf(known), p.found(), hint)
	return 0
}

// applicable reports the arguments that mean nothing in a rule of its kind.
func (v *validator) applicable(raw rawRule, set protocols) {
	only := func(name string, at hcl.Range, allowed protocols, protocols string) {
		if set&^allowed != 0 {
			v.diags.errorAt(at, "Conflicting arguments", "%q is for rules of protocol %s, which this is not. Remove it, or change the protocol.", name, protocols)
		}
	}
	list := func(name string, l *rawList, allowed protocols, protocols string) {
		if l != nil {
			only(name, l.at, allowed, protocols)
		}
	}
	scalar := func(name string, i *item, allowed protocols, protocols string) {
		switch {
		case i == nil:
		case raw.deny:
			v.diags.errorAt(i.at, "Conflicting arguments", "%q says what an allow lets through; a deny refuses all that it matches. Remove it.", name)
		default:
			only(name, i.at, allowed, protocols)
		}
	}
	list("hosts", raw.hosts, anyHostProtocol, `"http", "tls", "tcp" or "udp"`)
	list("ports", raw.ports, anyHostProtocol, `"http", "tls", "tcp" or "udp"`)
	list("methods", raw.methods, protoHTTP, `"http"`)
	list("paths", raw.paths, protoHTTP|protoUnix, `"http" or "unix"`)
	scalar("private", raw.private, anyHostProtocol, `"http", "tls", "tcp" or "udp"`)
	scalar("max_request_bytes", raw.maxBytes, protoHTTP, `"http"`)
}

// hosts checks `hosts`, without which a rule is about nothing.
func (v *validator) hosts(raw rawRule, set protocols) []hostPattern {
	switch {
	case raw.hosts == nil && set == 0, raw.hosts != nil && raw.hosts.bad:
		return nil
	case raw.hosts == nil:
		v.diags.errorAt(raw.at, "Missing hosts", "A rule says which hosts it is about, as in hosts = [\"api.example.com\"]; hosts = [\"*\"] is every host.")
		return nil
	}
	if v.emptyList("hosts", raw.hosts) {
		return nil
	}
	var hosts []hostPattern
	for _, i := range raw.hosts.items {
		h, err := parseHostPattern(i.text)
		if err != nil {
			v.diags.errorAt(i.at, "Invalid host", "%s is not a host, an address or a pattern. %s", capital(i.found()), i.why(err))
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// ports checks `ports`, or gives the default.
func (v *validator) ports(raw rawRule, set protocols) []portRange {
	switch {
	case raw.ports != nil:
		return v.portList("ports", raw.ports)
	case raw.deny, set == 0:
		return nil
	case set == protoHTTP:
		return []portRange{{80, 80}, {443, 443}}
	case set == protoTLS:
		return []portRange{{443, 443}}
	}
	v.diags.errorAt(raw.at, "Missing ports", "An allow of TCP or UDP says which ports, as in ports = [5432] or ports = [\"8000-8999\"].")
	return nil
}

// methods checks `methods`.
func (v *validator) methods(list *rawList) []string {
	if !list.given() || v.emptyList("methods", list) {
		return nil
	}
	methods := []string{}
	for _, i := range list.items {
		switch upper := strings.ToUpper(i.text); {
		case i.text == "*":
			v.diags.errorAt(i.at, "Invalid method", "There is no pattern for methods; a rule without \"methods\" is about every method.")
		case !isToken(i.text):
			v.diags.errorAt(i.at, "Invalid method", "A method is a word as in \"GET\"; found %s.", i.found())
		case i.text != upper:
			v.diags.errorAt(i.at, "Invalid method", "Methods are written in upper case; found %s.", i.found())
		default:
			methods = append(methods, i.text)
		}
	}
	return methods
}

// isToken says whether a text is a token of RFC 9110 §5.6.2.
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != ""
}

// globs checks a list of patterns.
func (v *validator) globs(name string, list *rawList, parse func(string) (glob, error)) []glob {
	if !list.given() || v.emptyList(name, list) {
		return nil
	}
	globs := []glob{}
	for _, i := range list.items {
		g, err := parse(i.text)
		if err != nil {
			v.diags.errorAt(i.at, "Invalid pattern", "%s can't stand in %q. %s", capital(i.found()), name, i.why(err))
			continue
		}
		globs = append(globs, g)
	}
	return globs
}

// maxBytes checks `max_request_bytes`, or gives the default: a request that
// only reads has no body.
func (v *validator) maxBytes(raw rawRule, methods []string) int64 {
	if raw.maxBytes != nil && !raw.maxBytes.bad {
		n, err := strconv.ParseInt(raw.maxBytes.text, 10, 64)
		if err != nil || n < 0 {
			v.diags.errorAt(raw.maxBytes.at, "Invalid max_request_bytes", "It is a whole number of bytes, 0 or more; found %s.", raw.maxBytes.found())
		}
		return n
	}
	writes := func(method string) bool { return method != "GET" && method != "HEAD" && method != "OPTIONS" }
	if len(methods) > 0 && !slices.ContainsFunc(methods, writes) {
		return 0
	}
	return -1
}

// emptyList reports a list without elements: it would match nothing in an
// allow, and whoever wrote it into a deny meant something else.
func (v *validator) emptyList(name string, list *rawList) bool {
	if list.empty {
		v.diags.errorAt(list.at, "Empty list", "%q lists nothing, so nothing could match. Name something, or remove the argument.", name)
	}
	return list.empty
}

func (v *validator) caFile(file item) {
	if file.text == "" {
		v.diags.errorAt(file.at, "Invalid ca_file", "It is the path of a file with certificates in PEM.")
		return
	}
	if !slices.Contains(v.out.caFiles, file.text) {
		v.out.caFiles = append(v.out.caFiles, file.text)
	}
}

func (v *validator) guard(guard item, known []string) {
	if !slices.Contains(known, guard.text) {
		expected := "it has none"
		if len(known) > 0 {
			expected = "expected is " + oneOf(known)
		}
		v.diags.errorAt(guard.at, "Unknown guard", "%s is not a guard of this version of boundary; %s.%s",
			capital(guard.found()), expected, guard.hint(known))
		return
	}
	if !slices.Contains(v.out.require, guard.text) {
		v.out.require = append(v.out.require, guard.text)
	}
}

// place writes a range as file:line.
func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// capital begins a sentence with text.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
