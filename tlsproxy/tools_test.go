package tlsproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listen makes the rig answer on loopback, as if each connection were one that
// the agent made to that address. It returns the address.
func (g *rig) listen(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	flow := Flow{Dialled: netip.MustParseAddrPort(listener.Addr().String())}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.proxy.Serve(conn, flow)
		}
	}()
	return listener.Addr().String()
}

// tools are programs that read trust in ways of their own. URL stands for what
// they fetch.
func tools() map[string][]string {
	return map[string][]string{
		"curl":    {"curl", "--silent", "--show-error", "--http1.1", "URL"},
		"curl h2": {"curl", "--silent", "--show-error", "--http2", "URL"},
		"wget":    {"wget", "--quiet", "--output-document=-", "URL"},
		"python3": {"python3", "-c", "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())", "URL"},
		"node":    {"node", "-e", "fetch(process.argv[1]).then(r => r.text()).then(console.log)", "URL"},
		"git":     {"git", "ls-remote", "URL/repo.git"},
	}
}

// serveTools is an origin that each of the tools takes for its own.
func serveTools(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/repo.git") {
		// One reference, in the form of gitprotocol-http(5).
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		ref := strings.Repeat("0", 39) + "1 refs/heads/reached\x00\n"
		fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s0000", len(ref)+4, ref)
		return
	}
	io.WriteString(w, "reached")
}

// runWith runs a tool with nothing in its environment but what WriteTrust made.
func runWith(t *testing.T, env []string, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestToolsTrustTheSession(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true, h2: true}, serveTools)
	address := g.listen(t)
	trust, err := WriteTrust(t.TempDir(), g.session, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, argv := range tools() {
		t.Run(name, func(t *testing.T) {
			argv := append([]string(nil), argv...)
			last := len(argv) - 1
			argv[last] = strings.Replace(argv[last], "URL", "https://"+address, 1)
			out, err := runWith(t, trust.Env, argv...)
			if err != nil || !strings.Contains(out, "reached") {
				t.Errorf("got %q, %v", out, err)
			}
			if out, err := runWith(t, nil, argv...); err == nil && strings.Contains(out, "reached") {
				t.Error("it trusts the session without being told to: the test shows nothing")
			}
		})
	}
}

func TestJavaTrustsTheSession(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true}, serveTools)
	address := g.listen(t)
	trust, err := WriteTrust(t.TempDir(), g.session, nil)
	if err != nil {
		t.Fatal(err)
	}
	source := writeText(t, filepath.Join(t.TempDir(), "Get.java"), `
import java.net.URI;
import java.net.http.*;
class Get {
	public static void main(String[] args) throws Exception {
		var request = HttpRequest.newBuilder(URI.create(args[0])).build();
		System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
	}
}`)
	out, err := runWith(t, trust.Env, "java", source, "https://"+address)
	if err != nil || !strings.Contains(out, "reached") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestCurlShowsTheDenialOfAnUpload(t *testing.T) {
	g := closedRig(t)
	g.judge.decide = func(*Request) (Verdict, error) { return deny(), nil }
	address := g.listen(t)
	trust, err := WriteTrust(t.TempDir(), g.session, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--http1.1"}, {"--http2"}, {"--http1.1", "-H", "Expect:"}, {"--http1.1", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			argv := append([]string{"curl", "--silent", "--show-error", "--write-out", "%{http_code}", "--data-binary", "@" + file}, args...)
			out, err := runWith(t, trust.Env, append(argv, "https://"+address+"/")...)
			if err != nil || !strings.HasPrefix(out, deniedHeadline) || !strings.HasSuffix(out, "403") {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}
