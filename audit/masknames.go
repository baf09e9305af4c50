package audit

import "strings"

// isName tells whether s can be the name of an option or a variable.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !wordByte(c) && c != ':' {
			return false
		}
	}
	return s != ""
}

// wordByte tells whether c can stand in a name, and in most tokens.
func wordByte(c byte) bool {
	return letterOrDigit(c) || c == '_' || c == '-' || c == '.'
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// credentialName tells whether the name of an option, variable, parameter or header says that its value is a
// credential. What counts is how it ends: --token and GITHUB_TOKEN, but not --token-file.
func credentialName(name string) bool {
	name = strings.TrimLeft(name, "-")
	if hasPrefixFold(name, "no-") {
		return false
	}
	last, rest := lastWord(name)
	switch {
	case oneOfFold(last, "pass", "passin", "passout", "passcode", "sshpass", "auth", "authorization", "bearer",
		"cookie", "cookies", "credential", "credentials", "jwt"):
		return true
	case oneOfFold(last, "pwd", "pat", "pw"):
		// Alone these are a folder, a pattern, a width.
		return rest != ""
	case strings.EqualFold(last, "key"):
		return keyName(name, rest)
	}
	for _, end := range [...]string{"password", "passwd", "passphrase", "secret", "token", "apikey"} {
		if hasSuffixFold(last, end) {
			return true
		}
	}
	return false
}

// keyName tells whether a name that ends in the word key, with rest before it, is of a secret one.
func keyName(name, rest string) bool {
	word, _ := lastWord(rest)
	if oneOfFold(word, "api", "access", "secret", "private", "auth", "account", "storage", "master", "encryption",
		"shared", "service") {
		return true
	}
	// In the environment most are: OPENAI_KEY.
	return word != "" && name == strings.ToUpper(name) && strings.Contains(name, "_") &&
		!oneOfFold(word, "public", "primary", "foreign", "partition", "sort", "cache", "group", "index", "host")
}

// lastWord splits off the last word of a name, at a hyphen, underscore, dot or colon, or where a capital follows a
// small letter.
func lastWord(name string) (last, rest string) {
	for i := len(name) - 1; i >= 0; i-- {
		switch c := name[i]; {
		case c == '-' || c == '_' || c == '.' || c == ':':
			return name[i+1:], name[:i]
		case i > 0 && 'A' <= c && c <= 'Z' && 'a' <= name[i-1] && name[i-1] <= 'z':
			return name[i:], name[:i]
		}
	}
	return name, ""
}

func oneOfFold(s string, words ...string) bool {
	for _, word := range words {
		if len(s) == len(word) && strings.EqualFold(s, word) {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
