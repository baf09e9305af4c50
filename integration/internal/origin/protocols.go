package origin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// protocolPages adds pages that use what HTTP has beyond requests and answers:
//
//   - /http/seen: what the request says from end to end, as a JSON object
//   - /http/trailers: the body, and its size and the request's own trailer
//     behind it
//   - /http/continue: the size of the body, which is asked for by a 100
//   - /http/unexpected: a 417 before the body is read
//   - /http/hints: a 103 and a 102 before the answer
//   - /http/range: 10,000 bytes, in ranges too
//   - /http/gzip: compressed, with its length
//   - /http/empty/N: an answer with status N and no body
//   - /http/steps: events, each one sent when the one before was acknowledged
//     by a request for /http/step
//   - /http/clock/N/PAUSE: N events that say when they were sent, in Unix
//     nanoseconds, PAUSE apart
//   - /http/break/N: N bytes of an answer that is to have more
//   - /websocket: sends every message back
func protocolPages(mux *http.ServeMux) {
	steps := make(chan struct{})
	mux.HandleFunc("/http/seen", seen)
	mux.HandleFunc("/http/trailers", trailers)
	mux.HandleFunc("/http/continue", counted)
	mux.HandleFunc("/http/unexpected", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "no expectation is met here", http.StatusExpectationFailed)
	})
	mux.HandleFunc("/http/hints", hints)
	mux.HandleFunc("/http/range", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"first"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(bytes.Repeat([]byte("0123456789"), 1000)))
	})
	mux.HandleFunc("/http/gzip", zipped)
	mux.HandleFunc("/http/empty/{n}", empty)
	mux.HandleFunc("/http/steps", func(w http.ResponseWriter, r *http.Request) { stepwise(w, r, steps) })
	mux.HandleFunc("/http/step", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case steps <- struct{}{}:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/http/clock/{n}/{pause}", clock)
	mux.HandleFunc("/http/break/{n}", breakOff)
	mux.HandleFunc("/websocket", echoMessages)
}

// seen answers with all that the request says.
func seen(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	r.Header.Del("Connection") // of one hop only, RFC 9110 §7.6.1
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "target": r.RequestURI, "host": r.Host, "header": r.Header,
		"length": r.ContentLength, "trailer": r.Trailer, "body": len(body),
	})
}

// trailers echoes the body, and says behind it what is known only then.
func trailers(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is so anyway
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Trailer", "X-Size, X-Was")
	n, _ := io.Copy(w, r.Body)
	w.Header().Set("X-Size", strconv.FormatInt(n, 10))
	w.Header().Set("X-Was", r.Trailer.Get("X-Sent"))
}

// counted reads the whole body, for which net/http sends a 100 first.
func counted(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintln(w, n, err)
}

// hints sends informational answers (RFC 8297, RFC 2518) before its own.
func hints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	w.WriteHeader(http.StatusProcessing)
	fmt.Fprintln(w, "the answer")
}

// zipped answers with a text that gzip has compressed.
func zipped(w http.ResponseWriter, _ *http.Request) {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	_, _ = io.WriteString(zip, strings.Repeat("compressed ", 100)) // to memory
	_ = zip.Close()
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes())
}

// empty answers without a body.
func empty(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 200 || n > 599 {
		http.Error(w, "not a status", http.StatusBadRequest)
		return
	}
	w.Header().Set("ETag", `"first"`)
	w.WriteHeader(n)
}

// stepwise sends an event, and the next one when somebody acknowledges it.
func stepwise(w http.ResponseWriter, r *http.Request, steps <-chan struct{}) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 3 {
		fmt.Fprintf(w, "data: %d\n\n", i)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-steps:
		case <-r.Context().Done():
			return
		}
	}
}

// clock sends events that say when they were sent.
func clock(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	pause, pauseErr := time.ParseDuration(r.PathValue("pause"))
	if err != nil || pauseErr != nil {
		http.Error(w, "not a number and a duration", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(max(pause, 1))
	defer tick.Stop()
	for range n {
		<-tick.C
		fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// breakOff ends the connection within the body.
func breakOff(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		http.Error(w, "not a number", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n+1))
	_, _ = w.Write(bytes.Repeat([]byte("x"), n))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// echoMessages sends each message back, and the status with which the peer
// closes (RFC 6455 §5.5.1).
func echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover,
		InsecureSkipVerify: true, // of the Origin header: any page may ask
	})
	if err != nil {
		return // it has been answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(64 << 20)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if string(message) == "close" {
			_ = conn.Close(4321, "as asked")
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}
