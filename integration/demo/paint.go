package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Colours as terminals number them, ECMA-48 §8.3.117.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint writes the story to standard output.
type paint struct {
	on bool // with colours
}

// in returns text in a colour.
func (p paint) in(color, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// heading begins a part.
func (p paint) heading(text string) { fmt.Printf("\n%s\n", p.in(bold, text)) }

// line writes one line of a part.
func (p paint) line(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

// file shows a file.
func (p paint) file(text string) {
	for line := range strings.Lines(text) {
		p.line("%s", p.in(dim, strings.TrimSuffix(line, "\n")))
	}
}

// developer shows a line that boundary writes to the developer's terminal.
func (p paint) developer(line string) {
	p.line("%s", p.in(yellow, strings.TrimSuffix(line, "\n")))
}

// decision shows what was decided.
func (p paint) decision(decision, what string) {
	color := green
	if decision != "allow" {
		color = red
	}
	p.line("%s %s", p.in(color, fmt.Sprintf("%-5s", decision)), what)
}

// indented returns a writer for what the agent prints.
func (p paint) indented() io.Writer { return &indenter{start: true} }

// indenter indents each line that it passes on to standard output.
type indenter struct {
	start bool // the next byte begins a line
}

// Write implements io.Writer.
func (i *indenter) Write(text []byte) (int, error) {
	var b strings.Builder
	for _, c := range text {
		if i.start {
			b.WriteString("  ")
		}
		b.WriteByte(c)
		i.start = c == '\n'
	}
	if _, err := os.Stdout.WriteString(b.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}
