package origin

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"strconv"
	"strings"
	"time"
)

// gitBackend is where Debian's git package puts the server side of git's
// smart HTTP protocol, git-http-backend(1).
const gitBackend = "/usr/lib/git-core/git-http-backend"

// pages returns the server's own answers:
//
//   - /repos/… and /json: a JSON object that repeats the request
//   - /echo: the body of the request
//   - /bytes/N: N zero bytes
//   - /stream/N: N events, one each tenth of a second, flushed one by one
//   - /status/N and below: an answer with status N
//   - /NAME.git/…: git's smart HTTP protocol
//   - anything else: one line of text
//
// and those of protocolPages.
func pages(repositories string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/repos/", repeat)
	mux.HandleFunc("/json", repeat)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/bytes/{n}", zeroes)
	mux.HandleFunc("/stream/{n}", stream)
	mux.HandleFunc("/status/{n}", statusPage)
	mux.HandleFunc("/status/{n}/{rest...}", statusPage)
	protocolPages(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if repositories != "" && strings.Contains(r.URL.Path, ".git/") {
			repository(repositories).ServeHTTP(w, r)
			return
		}
		drain(r)
		fmt.Fprintf(w, "origin has seen %s %s\n", r.Method, r.URL.Path)
	})
	return mux
}

// repository serves git repositories by the program that git brings for it.
func repository(root string) http.Handler {
	return &cgi.Handler{
		Path:   gitBackend,
		Root:   "/",
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1"},
		Logger: discard(),
		Stderr: io.Discard,
	}
}

// repeat answers with what was asked.
func repeat(w http.ResponseWriter, r *http.Request) {
	drain(r)
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]string{"origin": "test origin", "method": r.Method, "host": r.Host, "path": r.URL.Path}
	// The client has gone when this fails; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(answer)
}

// drain reads the whole body, so that it is in the record.
func drain(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
}

// echo sends the body back as it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	// HTTP/1 answers before the end of the body only when asked to.
	_ = http.NewResponseController(w).EnableFullDuplex()
	piece := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(piece)
		if _, writeErr := w.Write(piece[:n]); err != nil || writeErr != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// zeroes answers with as many bytes as the path says.
func zeroes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n < 0 {
		http.Error(w, "not a size", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	chunk := make([]byte, 64<<10)
	for n > 0 {
		part := chunk[:min(n, int64(len(chunk)))]
		if _, err := w.Write(part); err != nil {
			return
		}
		n -= int64(len(part))
	}
}

// stream sends server-sent events.
func stream(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 {
		http.Error(w, "not a number", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		fmt.Fprintf(w, "data: %d\n\n", i)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// statusPage answers with the status that the path names.
func statusPage(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 200 || n > 599 {
		http.Error(w, "not a status", http.StatusBadRequest)
		return
	}
	w.WriteHeader(n)
	fmt.Fprintf(w, "status %d\n", n)
}

// discard is a logger for complaints about clients that hung up.
func discard() *log.Logger { return log.New(io.Discard, "", 0) }
