package tlsproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// seenRequest is a request as one of two readers has it.
type seenRequest struct {
	Method, Target, Host string
	WebSocket            bool
	Body                 string
	Broken               bool // the body does not end
}

// strictly returns what http1Conn hands on of a stream that comes in pieces.
func strictly(data []byte, piece int) (out []byte, refused *refusedHead, broken *problem) {
	c := newHTTP1Conn(&piecesConn{data: data, piece: piece}, &agentConn{})
	out, _ = io.ReadAll(c)
	if refused = c.refused.Load(); refused != nil {
		out = out[:bytes.LastIndex(out, []byte(substitute))]
		out = bytes.TrimSuffix(bytes.TrimSuffix(out, []byte("GET")), []byte("HEAD"))
	}
	return out, refused, c.broken.Load()
}

// byHead reads a stream as the strict reader has it.
func byHead(data []byte) (all []seenRequest) {
	for len(data) > 0 {
		var h head
		end := bytes.Index(data, []byte("\r\n\r\n")) + 4
		if end < 4 || h.read(data[:end]) != nil {
			return append(all, seenRequest{Broken: true})
		}
		one := seenRequest{Method: h.method, Target: h.target, Host: h.host, WebSocket: h.webSocket}
		if h.url.Host != "" {
			one.Host = h.url.Host
		}
		data = data[end:]
		switch {
		case h.length < 0:
			one.Body, data, one.Broken = unchunk(data)
		case h.length > int64(len(data)):
			one.Body, data, one.Broken = string(data), nil, true
		default:
			one.Body, data = string(data[:h.length]), data[h.length:]
		}
		all = append(all, one)
	}
	return all
}

// unchunk takes the data out of a chunked body.
func unchunk(data []byte) (body string, rest []byte, broken bool) {
	var s chunkScanner
	var b bytes.Buffer
	for i := range data {
		isData := s.step == chunkData
		n, done, bad := s.scan(data[i : i+1])
		if bad != nil || n != 1 {
			break
		}
		if isData {
			b.WriteByte(data[i])
		}
		if done {
			return b.String(), data[i+1:], false
		}
	}
	return b.String(), nil, true
}

// byNetHTTP reads a stream as net/http does.
func byNetHTTP(data []byte) (all []seenRequest) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		if _, err := r.Peek(1); err != nil {
			return all
		}
		request, err := http.ReadRequest(r)
		if err != nil {
			return append(all, seenRequest{Broken: true})
		}
		one := seenRequest{Method: request.Method, Target: request.RequestURI, Host: request.Host, WebSocket: isWebSocket(request)}
		body, err := io.ReadAll(request.Body)
		one.Body, one.Broken = string(body), err != nil
		all = append(all, one)
		if one.Broken {
			return all
		}
	}
}

// FuzzHTTP1 checks that net/http reads in all that the strict reader lets
// through exactly the requests that the strict reader has seen, and that it
// does not matter in which pieces the bytes come.
func FuzzHTTP1(f *testing.F) {
	const get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, seed := range []string{
		get, get + get, "\r\n\r\n" + get, "GET / HTTP/1.0\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nX-A: b\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + get,
		"GET http://b/ HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00" + get,
		"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.9\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n",
	} {
		f.Add([]byte(seed), 7)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		if piece < 0 || piece > 1<<16 {
			return
		}
		out, refused, broken := strictly(data, 0)
		inPieces, alsoRefused, alsoBroken := strictly(data, piece)
		if !bytes.Equal(out, inPieces) && broken == nil || (refused == nil) != (alsoRefused == nil) || !errors.Is(broken, alsoBroken) && (broken == nil || alsoBroken == nil) {
			t.Fatalf("at once %q, %v, %v; in pieces %q, %v, %v", out, refused, broken, inPieces, alsoRefused, alsoBroken)
		}
		if diff := cmp.Diff(byHead(out), byNetHTTP(out)); diff != "" {
			t.Fatalf("of %q net/http reads something else (-strict +net/http):\n%s", out, diff)
		}
	})
}
