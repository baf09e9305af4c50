package audit

import (
	"net"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// denial is what the terminal shows of a record, made fit to be shown.
type denial struct {
	verb    string // "denied" or "would deny"
	target  string // method and URL, or what was dialled
	program string
	pid     int
	by      string // rule and reason
	id      string
}

// sameAs is what denials have in common that are shown once and then counted: all but the process and the identifier.
type sameAs struct{ verb, target, program, by string }

func (d denial) key() sameAs { return sameAs{d.verb, d.target, d.program, d.by} }

// Widths in characters of what is shown of one text.
const (
	wideHost    = 100
	widePath    = 80
	wideRule    = 60
	wideProgram = 32
	wideWord    = 20
)

func newDenial(r *Record) denial {
	d := denial{verb: "denied", target: target(r), by: decider(r), id: clean(r.ID, wideWord)}
	if r.Decision == WouldDeny {
		d.verb = "would deny"
	}
	if r.Process != nil {
		d.program = programName(r.Process.Exe)
		d.pid = r.Process.PID
	}
	return d
}

// line returns the denial as it is first shown.
func (d denial) line() string {
	s := d.verb + " " + d.target
	switch {
	case d.program != "":
		s += " (" + d.program + ", pid " + strconv.Itoa(d.pid) + ")"
	case d.pid != 0:
		s += " (pid " + strconv.Itoa(d.pid) + ")"
	}
	s += d.by
	if d.id != "" {
		s += " [" + d.id + "]"
	}
	return s
}

// repeats returns the line that says how often the denial came again.
func (d denial) repeats(n uint64) string {
	s := d.verb + " " + d.target
	if d.program != "" {
		s += " (" + d.program + ")"
	}
	times := " more times"
	if n == 1 {
		times = " more time"
	}
	return s + d.by + " … " + strconv.FormatUint(n, 10) + times
}

// target names what a record is about.
func target(r *Record) string {
	switch r.Event {
	case RequestEvent:
		scheme := clean(r.Protocol, wideWord)
		if scheme != "http" && scheme != "https" {
			scheme = "https"
			if r.Port == 80 {
				scheme = "http"
			}
		}
		path := r.Path
		if path == "" {
			path = "/"
		}
		return clean(r.Method, wideWord) + " " + scheme + "://" + hostPort(r, scheme) + clean(path, widePath)
	case DNS:
		return "dns " + clean(r.Method+" "+r.Host, wideHost)
	case Listen:
		return "listen on " + clean(r.Protocol, wideWord) + " " + hostPort(r, "")
	case Refused:
		if r.Syscall != nil {
			return "system call " + clean(r.Syscall.Name, wideWord)
		}
	}
	what := clean(r.Protocol, wideWord)
	if what == "" {
		what = clean(string(r.Event), wideWord)
	}
	if r.Host == "" && r.Port == 0 {
		return strings.TrimSuffix(what+" "+clean(r.Path, widePath), " ")
	}
	return what + " " + hostPort(r, "")
}

// hostPort returns the host, with the port but where it is the scheme's own.
func hostPort(r *Record, scheme string) string {
	host := strings.ReplaceAll(clean(r.Host, wideHost), " ", "?")
	if r.Port == 0 || scheme == "http" && r.Port == 80 || scheme == "https" && r.Port == 443 {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(r.Port)))
}

// decider says by what it was denied, with the blank before it.
func decider(r *Record) string {
	reason := clean(r.Reason, wideWord)
	if r.Rule == "" {
		if reason == "" || reason == "default" {
			return " by default"
		}
		return ": " + reason
	}
	s := ` by rule "` + clean(r.Rule, wideRule) + `"`
	if r.RuleAt != "" {
		s += " at " + cleanTail(r.RuleAt, wideRule)
	}
	if reason != "" && reason != "rule" {
		s += ": " + reason
	}
	return s
}

// programName returns the base name of an executable. One that has other than letters, digits and the usual signs is
// quoted, so that it can't pass for a part of the line.
func programName(exe string) string {
	if exe == "" {
		return ""
	}
	name := clean(path.Base(exe), wideProgram)
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._+-@", r) {
			return `"` + strings.ReplaceAll(name, `"`, "'") + `"`
		}
	}
	return name
}

// clean makes a text fit for a terminal: at most limit characters, with "…" where some are left out, and each that is
// not printable, or not UTF-8, as "?". So it holds no escape sequence, no end of a line, and nothing that reorders.
func clean(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == limit {
			b.WriteRune('…')
			break
		}
		n++
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cleanTail is clean for a text of which the end matters, as the line number of a place in a file.
func cleanTail(s string, limit int) string {
	if len(s) <= limit {
		return clean(s, limit)
	}
	return "…" + clean(s[len(s)-limit:], limit)
}
