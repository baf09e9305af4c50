package integration

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"

	"golang.org/x/net/websocket"
)

// TestBrowser has a page in Chromium, which Playwright drives, fetch, open
// WebSockets and read events, where the policy allows it and where not.
func TestBrowser(t *testing.T) {
	outside := startOrigin(t, origin.Options{Handler: browserPages()})
	policy := `allow "page" {
  hosts   = ["api.github.com"]
  methods = ["GET", "WEBSOCKET"]
}
` + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	eachMode(t, func(t *testing.T, as mode) {
		program(t, "chromium")
		command := node(t, "chromium.cjs", filepath.Join(shop.npmPackages(t), "playwright-core"), allowedHost, deniedHost)
		end := session{as: as, policy: policy, command: command}.run(t)
		if end.status != 0 {
			t.Errorf("the browser ended with %d", end.status)
		}
		for _, want := range []string{
			"title: a page\n", "fetch: from the origin\n", "denied fetch: 403\n",
			"socket: through the socket\n", "denied socket: refused\n", "Unexpected response code: 403\n",
			"events: 0 1 2\n", "denied page: " + blocked,
		} {
			if !strings.Contains(end.stdout, want) {
				t.Errorf("the page did not say %q", want)
			}
		}
		if seen := outside.Requests(deniedHost); len(seen) > 0 {
			t.Errorf("the origin saw %v", seen)
		}
		checkBrowserRecords(t, end.records)
	})
}

// browserPages is what the page is made of.
func browserPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>a page</title>")
	})
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the origin") })
	mux.Handle("GET /socket", websocket.Handler(func(conn *websocket.Conn) {
		// Ends when the page has gone.
		_, _ = io.Copy(conn, conn)
	}))
	mux.HandleFunc("GET /stream/3", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
		}
	})
	return mux
}

// checkBrowserRecords checks that each request of the page was recorded as the
// browser's.
func checkBrowserRecords(t *testing.T, all records) {
	t.Helper()
	for _, want := range []record{
		{Decision: "allow", Rule: "page", Method: "GET", Host: allowedHost, Path: "/page"},
		{Decision: "allow", Rule: "page", Method: "GET", Host: allowedHost, Path: "/json"},
		{Decision: "allow", Rule: "page", Method: "WEBSOCKET", Host: allowedHost, Path: "/socket"},
		{Decision: "allow", Rule: "page", Method: "GET", Host: allowedHost, Path: "/stream/3"},
		{Decision: "deny", Method: "POST", Host: deniedHost, Path: "/collect"},
		{Decision: "deny", Method: "WEBSOCKET", Host: deniedHost, Path: "/socket"},
		{Decision: "deny", Method: "GET", Host: deniedHost, Path: "/page"},
	} {
		var found records
		for _, one := range all.requests(want.Host).decided(want.Decision) {
			if one.Method == want.Method && one.Path == want.Path {
				found = append(found, one)
			}
		}
		client{exe: "chromium"}.checkRecord(t, found.one(t, want.Method+" "+want.Host+want.Path), want.Rule)
	}
}
