package integration

import (
	"slices"
	"strconv"
	"strings"
)

// http2Preface opens an HTTP/2 connection (RFC 9113 §3.4).
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// seen is a request as some server makes it out.
type seen struct {
	method, target string
	fields         [][2]string // name in lower case, value
	raw            string      // the bytes it was made out of
	unfinished     bool        // more of its body is to come
	view           string
}

// view is one way to read HTTP/1, as real servers have had it at some time. The
// zero value follows RFC 9112 as far as it knows, and goes on where it should
// give up.
type view struct {
	name string

	bareLF, bareCR bool // also end a line
	folds          bool // a line that begins with white space goes on
	trims          bool // white space and controls around a name don't count
	folding        bool // "_" and "." in a name are "-"
	anyChunked     bool // Transfer-Encoding is chunked where it holds the word
	lastTE         bool // only the last coding counts
	preferLength   bool // Content-Length before Transfer-Encoding
	lastLength     bool // the last Content-Length counts, not the first
	looseLength    bool // digits at the beginning are enough
	looseChunks    bool // chunk sizes are read by strtol(3), 32 bits wide
	looseEnds      bool // one line feed, or nothing, may end a chunk's data
	noTrailers     bool // a body ends with its last chunk
	noBodies       bool // GET and HEAD have none
	words          bool // any white space parts the request line
	lastTarget     bool // the target reaches to the last space
	plainest       bool // a request may be one line (HTTP/0.9)
}

// rawAnswers is the reading by which the raw origin answers.
var rawAnswers = view{name: "answers", bareLF: true, folds: true, trims: true, folding: true, anyChunked: true, looseLength: true, words: true}

// views returns the readings by which what arrived is judged.
func views() []view {
	return []view{
		rawAnswers,
		{name: "strict"},
		{name: "length first", preferLength: true},
		{name: "last length", preferLength: true, lastLength: true, looseLength: true},
		{name: "loose length", preferLength: true, looseLength: true, bareLF: true},
		{name: "last coding", lastTE: true},
		{name: "loose lines", bareLF: true, bareCR: true, folds: true, words: true, plainest: true},
		{name: "loose names", trims: true, folding: true, bareLF: true, bareCR: true, anyChunked: true},
		{name: "length by variable", trims: true, folding: true, preferLength: true},
		{name: "loose chunks", looseChunks: true, looseEnds: true, bareLF: true},
		{name: "no trailers", noTrailers: true, looseEnds: true},
		{name: "last space", lastTarget: true},
	}
}

// noBodyView is a server that takes the body of a GET for the next request. No
// proxy that passes such a body on can guard against it.
func noBodyView() view { return view{name: "no bodies", noBodies: true, bareLF: true} }

// split returns the requests in a stream, of which the last may lack a part of
// its body, and what is left.
func (v view) split(stream []byte) (all []seen, rest string) {
	rest = string(stream)
	for {
		rest = strings.TrimLeft(rest, "\r\n")
		before := rest
		one, after, ok := v.next(rest)
		if !ok && one.fields != nil {
			one.raw, one.view, one.unfinished = before, v.name, true
			all = append(all, one)
		}
		if !ok {
			return all, rest
		}
		rest = after
		one.raw, one.view = before[:len(before)-len(rest)], v.name
		all = append(all, one)
		if one.tunnels() {
			if rest != "" {
				all = append(all, seen{method: "TUNNEL", raw: one.raw + rest, view: v.name})
			}
			return all, ""
		}
	}
}

// next reads one request.
func (v view) next(text string) (one seen, rest string, ok bool) {
	line, rest, ok := v.line(text)
	if !ok || !v.requestLine(line, &one) {
		return one, text, false
	}
	if v.plainest && strings.Count(line, " ") == 1 {
		return one, rest, true
	}
	if one.fields, rest, ok = v.readFields(rest); !ok {
		return one, text, false
	}
	rest, ok = v.body(&one, rest)
	return one, rest, ok
}

// line cuts the next line off.
func (v view) line(text string) (line, rest string, ok bool) {
	ends := []string{"\r\n"}
	if v.bareLF {
		ends = append(ends, "\n")
	}
	if v.bareCR {
		ends = append(ends, "\r")
	}
	at, end := -1, ""
	for _, e := range ends {
		if i := strings.Index(text, e); i >= 0 && (at < 0 || i < at || i == at && len(e) > len(end)) {
			at, end = i, e
		}
	}
	if at < 0 {
		return "", text, false
	}
	return text[:at], text[at+len(end):], true
}

// requestLine reads method and target.
func (v view) requestLine(line string, one *seen) bool {
	parts := strings.Split(line, " ")
	if v.words {
		parts = strings.Fields(line)
	}
	if len(parts) < 2 {
		return false
	}
	one.method, one.target = parts[0], parts[1]
	if v.lastTarget {
		one.target = strings.Join(parts[1:max(len(parts)-1, 2)], " ")
	}
	return one.method != ""
}

// readFields reads the header fields up to the empty line.
func (v view) readFields(text string) (fields [][2]string, rest string, ok bool) {
	for {
		var line string
		if line, text, ok = v.line(text); !ok || line == "" {
			return fields, text, ok
		}
		if v.folds && strings.Trim(line[:1], " \t") == "" && len(fields) > 0 {
			last := &fields[len(fields)-1]
			last[1] = strings.TrimSpace(last[1] + " " + strings.TrimSpace(line))
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if v.trims {
			name = strings.TrimFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
		}
		if v.folding {
			name = strings.NewReplacer("_", "-", ".", "-", "!", "-").Replace(name)
		}
		fields = append(fields, [2]string{name, strings.TrimSpace(value)})
	}
}

// values returns the values of a field.
func (s seen) values(name string) []string {
	var all []string
	for _, field := range s.fields {
		if field[0] == name {
			all = append(all, field[1])
		}
	}
	return all
}

// tunnels tells whether the origin answers with 101.
func (s seen) tunnels() bool { return strings.Contains(s.target, "/open/switch") }

// switchTo returns what the origin says it switches to.
func (s seen) switchTo() string {
	if _, to, ok := strings.Cut(s.target, "?to="); ok {
		return "Connection: Upgrade\r\nUpgrade: " + to + "\r\n"
	}
	return ""
}

// body passes over the body.
func (v view) body(one *seen, text string) (rest string, ok bool) {
	if v.noBodies && slices.Contains([]string{"GET", "HEAD"}, one.method) {
		return text, true
	}
	lengths, chunked := one.values("content-length"), v.isChunked(one.values("transfer-encoding"))
	if chunked && (!v.preferLength || len(lengths) == 0) {
		return v.chunks(one, text)
	}
	if len(lengths) == 0 {
		return text, true
	}
	length := lengths[0]
	if v.lastLength {
		length = lengths[len(lengths)-1]
	}
	if v.looseLength {
		length = length[:len(length)-len(strings.TrimLeft(length, "0123456789"))]
	}
	// One that can't be read is taken for none.
	n, _ := strconv.Atoi(length)
	n = max(n, 0)
	return text[min(n, len(text)):], n <= len(text)
}

// isChunked tells whether a body is taken to come in chunks.
func (v view) isChunked(encodings []string) bool {
	all := strings.ToLower(strings.Join(encodings, ","))
	switch {
	case v.anyChunked:
		return strings.Contains(all, "chunked")
	case v.lastTE:
		return strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:]) == "chunked"
	}
	return all == "chunked"
}

// chunks passes over a body in chunks, and mixes what follows it with the
// fields.
func (v view) chunks(one *seen, text string) (rest string, ok bool) {
	for {
		line, after, ok := v.line(text)
		if !ok {
			return text, false
		}
		size := v.chunkSize(line)
		if size == 0 && v.noTrailers {
			return strings.TrimPrefix(after, "\r\n"), true
		}
		if size == 0 {
			trailers, after, ok := v.readFields(after)
			one.fields = append(one.fields, trailers...)
			return after, ok
		}
		if size > len(after) {
			return text, false
		}
		text = after[size:]
		switch {
		case strings.HasPrefix(text, "\r\n"):
			text = text[2:]
		case v.looseEnds:
			text = strings.TrimPrefix(text, "\n")
		case len(text) >= 2:
			text = text[2:]
		}
	}
}

// chunkSize reads a chunk's size: the digits that it begins with.
func (v view) chunkSize(line string) int {
	const digits = "0123456789abcdefABCDEF"
	if v.looseChunks {
		line = strings.TrimLeft(line, " \t")
		line = strings.TrimPrefix(strings.TrimPrefix(line, "+"), "0x")
		line = strings.ReplaceAll(line, "_", "")
	}
	line = line[:len(line)-len(strings.TrimLeft(line, digits))]
	if v.looseChunks && len(line) > 8 {
		line = line[len(line)-8:]
	}
	n, err := strconv.ParseUint(line, 16, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
