package audit

import (
	"math"
	"strconv"
	"time"
)

// Limits in bytes on one text, and in entries on one list. With every byte escaped a line stays well below maxLine.
const (
	maxWord      = 256
	maxText      = 1024
	maxFile      = 4096
	maxPath      = 8192
	maxAncestor  = 512
	maxList      = 64
	maxArgvBytes = 4096
	maxNameBytes = 2048

	// maxLine is the longest line that a log can hold.
	maxLine = 1 << 20
)

// timeFormat is RFC 3339 with all nine digits of the nanoseconds, so that times sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// appendRecord appends r as a JSON object without the hash member, and without a newline. Time must be in UTC.
func appendRecord(b []byte, r *Record) []byte {
	b = append(b, `{"time":"`...)
	b = r.Time.AppendFormat(b, timeFormat)
	b = append(b, '"')
	b = appendText(b, "session", r.Session, maxWord)
	b = appendUint(b, "seq", r.Seq)
	b = append(b, `,"event":`...)
	b = appendString(b, string(r.Event), maxWord)
	b = appendText(b, "id", r.ID, maxWord)
	b = appendText(b, "decision", string(r.Decision), maxWord)
	b = appendText(b, "rule", r.Rule, maxText)
	b = appendText(b, "rule_at", r.RuleAt, maxFile)
	b = appendText(b, "reason", r.Reason, maxWord)
	b = appendTarget(b, r)
	b = appendOutcome(b, r)
	if r.Process != nil {
		b = append(b, `,"process":`...)
		b = appendProcess(b, r.Process)
	}
	b = appendDetails(b, r)
	b = appendText(b, "message", r.Message, maxText)
	if r.TornBytes > 0 {
		b = appendUint(b, "torn_bytes", r.TornBytes)
	}
	b = append(b, `,"prev":"`...)
	b = append(b, r.Prev...)
	return append(b, `"}`...)
}

func appendTarget(b []byte, r *Record) []byte {
	b = appendText(b, "protocol", r.Protocol, maxWord)
	b = appendText(b, "method", r.Method, maxWord)
	b = appendText(b, "host", r.Host, maxText)
	if r.Port != 0 {
		b = appendUint(b, "port", uint64(r.Port))
	}
	b = appendText(b, "path", r.Path, maxPath)
	if len(r.Query) > 0 {
		b = append(b, `,"query":`...)
		b = appendList(b, maskNames(r.Query), maxList, maxNameBytes)
	}
	return b
}

func appendOutcome(b []byte, r *Record) []byte {
	if r.Status != 0 {
		b = appendInt(b, "status", int64(r.Status))
	}
	b = appendText(b, "upstream", r.Upstream, maxText)
	if r.BytesSent != nil {
		b = appendInt(b, "bytes_sent", *r.BytesSent)
	}
	if r.BytesReceived != nil {
		b = appendInt(b, "bytes_received", *r.BytesReceived)
	}
	// JSON has no word for what is not a number.
	if d := r.DurationMS; d != nil && !math.IsNaN(*d) && !math.IsInf(*d, 0) {
		b = append(b, `,"duration_ms":`...)
		b = strconv.AppendFloat(b, roundMS(*d), 'g', -1, 64)
	}
	return b
}

// roundMS rounds milliseconds to whole microseconds. Values so large that they have none are left as they are.
func roundMS(ms float64) float64 {
	if math.Abs(ms) > 1e12 {
		return ms
	}
	return math.Round(ms*1000) / 1000
}

func appendProcess(b []byte, p *Process) []byte {
	b = append(b, `{"pid":`...)
	b = strconv.AppendInt(b, int64(p.PID), 10)
	b = appendInt(b, "ppid", int64(p.PPID))
	b = appendText(b, "exe", p.Exe, maxFile)
	if len(p.Argv) > 0 {
		b = append(b, `,"argv":`...)
		b = appendArgv(b, p.Argv)
	}
	b = appendText(b, "cwd", p.Cwd, maxFile)
	b = appendInt(b, "uid", int64(p.UID))
	if !p.StartTime.IsZero() {
		b = appendTime(b, "start_time", p.StartTime)
	}
	if len(p.Ancestors) > 0 {
		b = append(b, `,"ancestors":[`...)
		for i, a := range p.Ancestors[:min(len(p.Ancestors), maxList)] {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"pid":`...)
			b = strconv.AppendInt(b, int64(a.PID), 10)
			b = append(b, `,"exe":`...)
			b = appendString(b, a.Exe, maxAncestor)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendList appends a list of texts, of which at most limit entries, and at most size bytes, are written.
func appendList(b []byte, list []string, limit, size int) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if i == limit || size <= 0 {
			b = appendMore(b, len(list)-i)
			break
		}
		b = appendString(b, s, size)
		size -= len(s)
	}
	return append(b, ']')
}

// appendArgv appends a command line, masked. It is masked before it is cut, so that no secret is cut short of its shape;
// of an argument that is far too long the rest is not looked at.
func appendArgv(b []byte, argv []string) []byte {
	var m argvMasker
	b = append(b, '[')
	size := maxArgvBytes
	for i, arg := range argv {
		if i > 0 {
			b = append(b, ',')
		}
		if i == maxList || size <= 0 {
			b = appendMore(b, len(argv)-i)
			break
		}
		seen := arg[:cutLen(arg, 2*maxArgvBytes)]
		masked := m.next(seen)
		b = appendCut(b, masked, size, len(arg)-len(seen))
		size -= len(masked)
	}
	return append(b, ']')
}

func appendMore(b []byte, n int) []byte {
	b = append(b, `"…[+`...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, ` more]"`...)
}

// appendText appends a member, unless it is empty. The names of members need no escaping.
func appendText(b []byte, name, s string, limit int) []byte {
	if s == "" {
		return b
	}
	return appendString(appendName(b, name), s, limit)
}

func appendInt(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(appendName(b, name), v, 10)
}

func appendUint(b []byte, name string, v uint64) []byte {
	return strconv.AppendUint(appendName(b, name), v, 10)
}

func appendTime(b []byte, name string, t time.Time) []byte {
	b = append(appendName(b, name), '"')
	b = t.UTC().AppendFormat(b, timeFormat)
	return append(b, '"')
}

func appendName(b []byte, name string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}
