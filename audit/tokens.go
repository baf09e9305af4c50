package audit

import "strings"

// tokenIn returns where the secret part of a well-known token starts in a word, or -1. A token starts where a word
// starts or after a character that is neither a letter nor a digit, so "task-list" holds no "sk-".
func tokenIn(word string) int {
	const shortest = 14 // of the shapes below
	for i := 0; i+shortest <= len(word); i++ {
		if i > 0 && letterOrDigit(word[i-1]) {
			continue
		}
		if n := tokenPrefix(word[i:]); n > 0 {
			return i + n
		}
	}
	return -1
}

// tokenPrefix returns the length of the prefix by which s is a well-known token, or 0. The prefix is recorded, since it
// tells whose token it is. It takes a long enough run of letters and digits as well, to tell a token from a name.
func tokenPrefix(s string) int {
	switch s[0] {
	case 'g': // GitHub, GitLab, Grafana
		return prefixed(s, 10, "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glsa_")
	case 's': // Stripe, OpenAI, Anthropic and others, Shopify
		return prefixed(s, 14, "sk_live_", "sk_test_", "sk-ant-", "sk-proj-", "sk-or-", "sk-", "shpat_")
	case 'r':
		return prefixed(s, 14, "rk_live_", "rk_test_")
	case 'x': // Slack
		return prefixed(s, 8, "xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxr-", "xoxs-", "xapp-")
	case 'A': // AWS, Google, Atlassian, age
		if n := prefixed(s, 16, "AKIA", "ASIA"); n > 0 && s[:20] == strings.ToUpper(s[:20]) {
			return n
		}
		return prefixed(s, 16, "AIza", "ATATT3", "AGE-SECRET-KEY-1")
	case 'y': // Google
		return prefixed(s, 12, "ya29.")
	case 'n', 'p': // npm, PyPI
		return prefixed(s, 20, "npm_", "pypi-")
	case 'h': // Hugging Face, Vault
		return prefixed(s, 20, "hf_", "hvs.")
	case 'd': // DigitalOcean, Docker
		return prefixed(s, 10, "dop_v1_", "dckr_pat_")
	case 'S': // SendGrid
		return prefixed(s, 10, "SG.")
	case 'e': // JSON Web Token: RFC 7519 §3.1
		if strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") >= 2 {
			return len("eyJ")
		}
	}
	return 0
}

// prefixed returns the length of the prefix that s has, if a run of at least so many letters and digits follows
// somewhere behind it, and else 0.
func prefixed(s string, run int, prefixes ...string) int {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) && longestRun(s[len(prefix):]) >= run {
			return len(prefix)
		}
	}
	return 0
}

func longestRun(s string) int {
	longest, n := 0, 0
	for i := range len(s) {
		if !letterOrDigit(s[i]) {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}
