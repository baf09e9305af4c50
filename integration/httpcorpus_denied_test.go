package integration

import (
	"regexp"
	"strconv"
	"strings"
)

// denied tells why the corpus's policy denies a request, as some server would
// understand it; empty is allowed. The policy allows GET and HEAD of what is
// below /open/ on one host.
func (s seen) denied(server string) string {
	if s.method != "GET" && s.method != "HEAD" {
		return "method " + s.method
	}
	for _, name := range []string{"x-http-method-override", "x-http-method", "x-method-override"} {
		for _, method := range s.values(name) {
			if m := strings.ToUpper(method); m != "GET" && m != "HEAD" {
				return "method override " + method
			}
		}
	}
	if to := s.values("upgrade"); len(to) > 0 && strings.Contains(strings.ToLower(strings.Join(s.values("connection"), ",")), "upgrade") {
		return "upgrade to " + to[0]
	}
	path, hosts := s.target, s.values("host")
	if scheme, rest, ok := strings.Cut(s.target, "://"); ok && !strings.Contains(scheme, "/") {
		at := strings.IndexAny(rest+"/", "/?")
		hosts, path = append(hosts, rest[:at]), rest[at:]
	}
	if server != "" {
		hosts = append(hosts, server)
	}
	for _, host := range hosts {
		if h := plainHost(host); h != openHost {
			return "host " + host
		}
	}
	for _, name := range []string{"x-original-url", "x-rewrite-url"} {
		for _, other := range s.values(name) {
			if !strings.HasPrefix(other, "/open/") {
				return "target override " + other
			}
		}
	}
	for name, resolve := range pathServers() {
		if p := resolve(path); !strings.HasPrefix(p, "/open/") {
			return "path " + p + " by a server that " + name
		}
	}
	return ""
}

// plainHost returns a host without user, port and final dot.
func plainHost(host string) string {
	host = strings.ToLower(host[strings.LastIndexAny(host, "@, ")+1:])
	host, _, _ = strings.Cut(host, ":")
	return strings.TrimSuffix(host, ".")
}

// pathServers returns the ways in which servers find a file, or a route, for a
// request target.
func pathServers() map[string]func(string) string {
	return map[string]func(string) string{
		"takes it as it is":                  func(p string) string { return dots(cut(p, "?")) },
		"decodes":                            func(p string) string { return dots(decode(cut(p, "?"))) },
		"decodes twice":                      func(p string) string { return dots(decode(decode(cut(p, "?")))) },
		"decodes thrice":                     func(p string) string { return dots(decode(decode(decode(cut(p, "?"))))) },
		"decodes, then cuts the query":       func(p string) string { return dots(cut(decode(p), "?")) },
		"decodes twice, then cuts both":      func(p string) string { return dots(cut(decode(decode(p)), "?#")) },
		"decodes, then cuts the fragment":    func(p string) string { return dots(cut(decode(p), "?#")) },
		"drops parameters":                   func(p string) string { return dots(decode(parameters(cut(p, "?")))) },
		"decodes, then drops parameters":     func(p string) string { return dots(parameters(decode(cut(p, "?")))) },
		"has backslashes":                    func(p string) string { return dots(strings.ReplaceAll(decode(cut(p, "?")), `\`, "/")) },
		"has backslashes, and decodes twice": func(p string) string { return dots(strings.ReplaceAll(decode(decode(cut(p, "?"))), `\`, "/")) },
		"merges slashes":                     func(p string) string { return dots(merge(decode(cut(p, "?")))) },
		"merges slashes first":               func(p string) string { return dots(decode(merge(cut(p, "?")))) },
		"folds UTF-8":                        func(p string) string { return dots(strings.ReplaceAll(foldUTF8(decode(cut(p, "?"))), `\`, "/")) },
		"reads %u":                           func(p string) string { return dots(decodeU(cut(p, "?"))) },
		"ends at a NUL":                      func(p string) string { return dots(cut(decode(cut(p, "?")), "\x00")) },
		"drops line ends": func(p string) string {
			return dots(strings.NewReplacer("\r", "", "\n", "", "\t", "", "\x00", "").Replace(decode(cut(p, "?"))))
		},
	}
}

// cut returns a text up to the first of some characters.
func cut(p, at string) string {
	if i := strings.IndexAny(p, at); i >= 0 {
		return p[:i]
	}
	return p
}

// dots removes dot segments, and never fails.
func dots(p string) string {
	var out []string
	for _, segment := range strings.Split(strings.TrimPrefix(p, "/"), "/") {
		switch segment {
		case ".":
		case "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// decode decodes percent signs, and leaves malformed ones as they are.
func decode(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if n, err := strconv.ParseUint(p[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

var (
	manySlashes  = regexp.MustCompile(`/{2,}`)
	aParameter   = regexp.MustCompile(`;[^/]*`)
	unicodeSpelt = regexp.MustCompile(`%u00([0-9a-fA-F]{2})`)
)

func merge(p string) string      { return manySlashes.ReplaceAllString(p, "/") }
func parameters(p string) string { return aParameter.ReplaceAllString(p, "") }
func decodeU(p string) string    { return decode(unicodeSpelt.ReplaceAllString(p, "%$1")) }

// foldUTF8 reads overlong and full-width forms as what they stand for.
func foldUTF8(p string) string {
	return strings.NewReplacer(
		"\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`, "\xe0\x80\xae", ".", "\xe0\x80\xaf", "/", "\xf0\x80\x80\xaf", "/", "\xf0\x80\x80\xae", ".",
		"\uff0e", ".", "\uff0f", "/", "\uff3c", `\`, "\u2215", "/", "\u2024", ".",
	).Replace(p)
}
