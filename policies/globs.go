package policies

import (
	"errors"
	"fmt"
	"strings"
)

// glob is a compiled pattern over slash-separated text: "*" stands for any run
// of characters within a segment, "**" for any run across segments, and "/**/"
// also for a single slash. A glob matches the whole text.
type glob struct {
	prefix string // literal text that every match begins with
	tokens []globToken
	// all says that the tokens are a single "**", so that the prefix decides.
	all bool
	// base says that a program's base name is compared, not its path.
	base bool
}

type globToken struct {
	kind globKind
	lit  byte
}

type globKind uint8

const (
	globLit globKind = iota
	globStar
	globStars
	// globDirs and globDirsRun, always in this order, stand for the "**/" of
	// "/**/": nothing, or any run that ends in a slash.
	globDirs
	globDirsRun
)

// maxGlobTokens bounds the cost of a match.
const maxGlobTokens = 1000

// parsePathGlob reads a pattern of `paths` for HTTP, whose escapes have a
// meaning: "%2f" is an escaped slash, "%2a" a star that is text. Its errors are
// sentences for the detail of a diagnostic.
func parsePathGlob(pattern string) (glob, error) {
	if err := checkPathPattern(pattern); err != nil {
		return glob{}, err
	}
	b := globBuilder{}
	for i := 0; i < len(pattern); {
		if pattern[i] != '%' {
			i += b.addRaw(pattern[i:])
			continue
		}
		switch v, _ := unhex(pattern[i+1:]); v {
		case '%':
			b.addLit("%25")
		case '/':
			b.addLit("%2F")
		default:
			b.addLit(string([]byte{v}))
		}
		i += len("%2f")
	}
	return b.glob()
}

func checkPathPattern(pattern string) error {
	if !strings.HasPrefix(pattern, "/") {
		return errors.New("a path begins with \"/\"")
	}
	if strings.ContainsAny(pattern, "?#") {
		return errors.New("the query is not part of the path; write a question mark of the path as \"%3f\"")
	}
	plain, err := plainForm(pattern)
	if err != nil {
		return errors.New("a percent sign is followed by two hexadecimal digits; write \"%25\" for the sign itself")
	}
	if hasControl(plain) {
		return errors.New("a request with control characters in its path is always refused")
	}
	if removeDots(plain) != plain {
		return errors.New("dot segments are removed before a path is compared, so this would never match")
	}
	return nil
}

// parseSocketGlob reads a pattern of `paths` for Unix sockets.
func parseSocketGlob(pattern string) (glob, error) {
	if !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "@") && !strings.HasPrefix(pattern, "**") {
		return glob{}, errors.New("the path of a socket begins with \"/\", and an abstract name with \"@\"")
	}
	if hasControl(pattern) {
		return glob{}, errors.New("a socket with control characters in its path is always refused")
	}
	return parseRawGlob(pattern)
}

// parseProcessGlob reads a pattern of `process` or `ancestor`.
func parseProcessGlob(pattern string) (glob, error) {
	base := !strings.Contains(pattern, "/")
	switch {
	case pattern == "":
		return glob{}, errors.New("it is empty")
	case !base && pattern[0] != '/' && pattern[0] != '*':
		return glob{}, errors.New("the path of a program begins with \"/\"; without any slash it is the program's base name")
	}
	g, err := parseRawGlob(pattern)
	g.base = base
	return g, err
}

// parseRawGlob reads a pattern in which only stars have a meaning.
func parseRawGlob(pattern string) (glob, error) {
	b := globBuilder{}
	for i := 0; i < len(pattern); {
		i += b.addRaw(pattern[i:])
	}
	return b.glob()
}

// globBuilder collects tokens.
type globBuilder struct {
	tokens []globToken
}

func (b *globBuilder) addLit(text string) {
	for i := range len(text) {
		b.tokens = append(b.tokens, globToken{kind: globLit, lit: text[i]})
	}
}

// addRaw adds the first token of s and returns how much of s it took.
func (b *globBuilder) addRaw(s string) int {
	if s[0] != '*' {
		b.addLit(s[:1])
		return 1
	}
	run := len(s) - len(strings.TrimLeft(s, "*"))
	n := len(b.tokens)
	afterSlash := n > 0 && (b.tokens[n-1] == globToken{kind: globLit, lit: '/'} || b.tokens[n-1].kind == globDirsRun)
	switch {
	case run == 1:
		b.tokens = append(b.tokens, globToken{kind: globStar})
	case run == 2 && afterSlash && strings.HasPrefix(s[run:], "/"):
		b.tokens = append(b.tokens, globToken{kind: globDirs}, globToken{kind: globDirsRun})
		return run + 1
	default:
		b.tokens = append(b.tokens, globToken{kind: globStars})
	}
	return run
}

func (b *globBuilder) glob() (glob, error) {
	if len(b.tokens) > maxGlobTokens {
		return glob{}, fmt.Errorf("it is longer than %d characters", maxGlobTokens)
	}
	n := 0
	for n < len(b.tokens) && b.tokens[n].kind == globLit {
		n++
	}
	prefix := make([]byte, n)
	for i, t := range b.tokens[:n] {
		prefix[i] = t.lit
	}
	rest := b.tokens[n:]
	return glob{prefix: string(prefix), tokens: rest, all: len(rest) == 1 && rest[0].kind == globStars}, nil
}

// match says whether the glob matches all of text. Its cost is bounded by the
// length of the text times that of the pattern.
func (g glob) match(text string) bool {
	rest, ok := strings.CutPrefix(text, g.prefix)
	switch {
	case !ok:
		return false
	case g.all:
		return true
	case len(g.tokens) == 0:
		return rest == ""
	}
	return g.run(rest)
}

// run simulates the pattern as a non-deterministic automaton: state i has
// matched the tokens before i.
func (g glob) run(text string) bool {
	var space [2][128]bool
	now, next := space[0][:], space[1][:]
	if len(g.tokens) >= len(now) {
		now, next = make([]bool, len(g.tokens)+1), make([]bool, len(g.tokens)+1)
	}
	now, next = now[:len(g.tokens)+1], next[:len(g.tokens)+1]
	now[0] = true
	g.skipEmpty(now)
	for i := range len(text) {
		clear(next)
		if !g.step(now, next, text[i]) {
			return false
		}
		g.skipEmpty(next)
		now, next = next, now
	}
	return now[len(g.tokens)]
}

// step moves every state over one byte, and says whether any is left.
func (g glob) step(now, next []bool, c byte) bool {
	alive := false
	for i, t := range g.tokens {
		if !now[i] {
			continue
		}
		switch t.kind {
		case globLit:
			next[i+1] = next[i+1] || t.lit == c
		case globStar:
			next[i] = next[i] || c != '/'
		case globStars:
			next[i] = true
		case globDirs:
			// It is left without taking anything: see skipEmpty.
		case globDirsRun:
			next[i] = true
			next[i+1] = next[i+1] || c == '/'
		}
		alive = alive || next[i] || next[i+1]
	}
	return alive
}

// skipEmpty adds the states that are reached without taking a byte.
func (g glob) skipEmpty(states []bool) {
	for i, t := range g.tokens {
		if !states[i] {
			continue
		}
		switch t.kind {
		case globStar, globStars:
			states[i+1] = true
		case globDirs:
			states[i+1], states[i+2] = true, true
		}
	}
}
