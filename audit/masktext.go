package audit

import "strings"

// maskText masks credentials within a text: a shell script, a URL, a header, JSON. It returns s itself if it has none.
func maskText(s string) string {
	var out []byte
	done := 0
	for i := 0; i < len(s); {
		if !wordByte(s[i]) {
			i++
			continue
		}
		start := i
		for i < len(s) && wordByte(s[i]) {
			i++
		}
		sp := secretAt(s, start, i)
		if sp.to <= sp.from {
			continue
		}
		i = sp.to
		if value := s[sp.from:sp.to]; value != mask && !plainWord(value) {
			out = append(append(out, s[done:sp.from]...), mask...)
			done = sp.to
		}
	}
	if out == nil {
		return s
	}
	return string(append(out, s[done:]...))
}

// span is a part of a text, empty where there is none.
type span struct{ from, to int }

// secretAt finds the secret that the word s[start:end] is, or announces.
func secretAt(s string, start, end int) span {
	word, rest := s[start:end], s[end:]
	if at := tokenIn(word); at >= 0 {
		return span{start + at, end}
	}
	if rest == "" {
		return span{}
	}
	if strings.HasPrefix(rest, "://") {
		return userInfo(s, end+len("://"))
	}
	if strings.HasSuffix(word, "-----BEGIN") {
		return privateKey(s, end)
	}
	if rest[0] == ' ' && strings.EqualFold(word, "bearer") {
		if to := end + 1 + runLen(rest[1:]); to-end > 16 {
			return span{end + 1, to}
		}
	}
	bare := strings.TrimLeft(word, "-")
	option := len(bare) < len(word)
	if option && userOption(bare) {
		return userPassAfter(s, end)
	}
	return namedValue(s, end, bare, option)
}

// userInfo finds what is secret in the user:password@ of a URL (RFC 3986 §3.2.1) whose authority starts at i. A user
// without a password is, where it looks like a token.
func userInfo(s string, i int) span {
	authority := s[i:]
	if n := strings.IndexAny(authority, "/?# \t\r\n'\"`<>\\"); n >= 0 {
		authority = authority[:n]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return span{}
	}
	user, _, ok := strings.Cut(authority[:at], ":")
	if n := tokenIn(user); n >= 0 || len(user) >= 20 {
		return span{i + max(n, 0), i + at}
	}
	if !ok {
		return span{}
	}
	return span{i + len(user) + 1, i + at}
}

// privateKey finds the body of a PEM block (RFC 7468) whose BEGIN ends at i, if it is a private key.
func privateKey(s string, i int) span {
	label, _, ok := strings.Cut(s[i:], "-----")
	if !ok || !strings.Contains(label, "PRIVATE KEY") {
		return span{}
	}
	from := i + len(label) + len("-----")
	if n := strings.Index(s[from:], "-----END"); n >= 0 {
		return span{from, from + n}
	}
	return span{from, len(s)}
}

// userPassAfter finds the password in the user:password that follows an option which ends at i.
func userPassAfter(s string, i int) span {
	if s[i] == '=' {
		i++
	}
	v := valueAt(s, skipBlanks(s, i))
	value := s[v.from:v.to]
	user, pass, ok := strings.Cut(value, ":")
	if !ok || strings.Contains(value, "://") || isNumber(user) && isNumber(pass) {
		return span{}
	}
	return span{v.from + len(user) + 1, v.to}
}

// namedValue finds the value of the name that ends at i, if the name says that it is secret.
func namedValue(s string, i int, name string, option bool) span {
	j := i
	if j+1 < len(s) && s[j] == '\\' && isQuote(s[j+1]) {
		j++
	}
	if j < len(s) && isQuote(s[j]) {
		j++
	}
	sep := skipBlanks(s, j)
	if sep == len(s) {
		return span{}
	}
	switch c := s[sep]; {
	case c == ':' || c == '=':
		if !secretBefore(name, c) {
			return span{}
		}
		return valueAfter(s, sep, sep > j, name)
	case option && len(name) > 1 && sep > i && j == i && c != '-' && credentialName(name):
		return valueAt(s, sep)
	}
	return span{}
}

// secretBefore tells whether a name before sep, a colon or an equals sign, has a secret after it.
func secretBefore(name string, sep byte) bool {
	if sep == ':' {
		// "auth: add a test" is how messages start.
		return !strings.EqualFold(name, "auth") && credentialName(name)
	}
	return credentialName(name) || oneOfFold(name, "sig", "signature", "x-amz-signature", "x-goog-signature")
}

// valueAfter finds the value after the separator at sep.
func valueAfter(s string, sep int, spaced bool, name string) span {
	colon := s[sep] == ':'
	i := sep + 1
	if i < len(s) && s[i] == s[sep] {
		return span{} // a comparison, or a path of names
	}
	if i < len(s) && (colon && s[i] == '=' || !colon && s[i] == '>') {
		i++
	}
	if colon || spaced {
		i = skipBlanks(s, i)
	}
	if last, _ := lastWord(name); colon && (oneOfFold(last, "authorization", "cookie") || hasPrefixFold(name, "x-")) &&
		i < len(s) && !isQuote(s[i]) && s[i] != '\\' {
		return headerValue(s, i)
	}
	v := valueAt(s, i)
	v.from += schemeLen(s[v.from:v.to])
	return v
}

// headerValue finds the value of a header that starts at i and ends with the line or the quotes around it.
func headerValue(s string, i int) span {
	to := len(s)
	if n := strings.IndexAny(s[i:], "'\"\\\r\n"); n >= 0 {
		to = i + n
	}
	return span{i + schemeLen(s[i:to]), to}
}

// schemeLen returns the length of the scheme of an Authorization header (RFC 9110 §11.4), with the blank after it.
func schemeLen(s string) int {
	scheme, _, ok := strings.Cut(s, " ")
	if ok && oneOfFold(scheme, "bearer", "basic", "token", "digest", "negotiate", "apikey", "aws4-hmac-sha256") {
		return len(scheme) + 1
	}
	return 0
}

// valueAt finds the value that starts at i: within quotes, or else up to a blank or a sign that ends a word in a shell,
// a query or JSON.
func valueAt(s string, i int) span {
	escaped := i+1 < len(s) && s[i] == '\\' && isQuote(s[i+1])
	if escaped {
		i++
	}
	if i < len(s) && isQuote(s[i]) {
		return span{i + 1, closingQuote(s, i+1, s[i], escaped)}
	}
	if n := strings.IndexAny(s[i:], " \t\r\n'\"`&;|,)}]<>\\"); n >= 0 {
		return span{i, i + n}
	}
	return span{i, len(s)}
}

// closingQuote returns where a quoted text that starts at i ends. Quotes behind a backslash end it only if the opening
// ones stood behind one too.
func closingQuote(s string, i int, quote byte, escaped bool) int {
	for ; i < len(s); i++ {
		switch {
		case s[i] == '\\' && escaped && i+1 < len(s) && s[i+1] == quote:
			return i
		case s[i] == '\\':
			i++
		case s[i] == quote:
			return i
		}
	}
	return len(s)
}

func skipBlanks(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// runLen returns the length of the start of s that has no blank and no quote.
func runLen(s string) int {
	if n := strings.IndexAny(s, " \t\r\n'\"`\\"); n >= 0 {
		return n
	}
	return len(s)
}
