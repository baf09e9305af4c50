package integration

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// greeting is the package that every installer installs; it contains the
// marker.
const greeting = "greeting"

// npmRegistry serves the document and the tarball of one package, as
// https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md has it.
func npmRegistry(t testing.TB) http.Handler {
	t.Helper()
	ball := tarball(t, map[string]string{
		"package/package.json": `{"name": "greeting", "version": "1.0.0"}`,
		"package/index.js":     "console.log('" + marker + "')\n",
	})
	sum := sha512.Sum512(ball)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/npm/greeting":
			dist := map[string]string{
				"tarball":   "https://" + r.Host + "/npm/greeting/-/greeting-1.0.0.tgz",
				"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
			}
			version := map[string]any{"name": greeting, "version": "1.0.0", "dist": dist}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"name": greeting, "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": version},
			})
		case "/npm/greeting/-/greeting-1.0.0.tgz":
			_, _ = w.Write(ball)
		default:
			http.NotFound(w, r)
		}
	})
}

// tarball returns a compressed archive.
func tarball(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipper := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipper)
	for name, text := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatalf("make archive: %v", err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatalf("make archive: %v", err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatalf("make archive: %v", err)
	}
	if err := zipper.Close(); err != nil {
		t.Fatalf("make archive: %v", err)
	}
	return b.Bytes()
}

// pythonIndex serves one wheel and the page that names it, as the Python
// packaging specification "Simple repository API" has it.
func pythonIndex(t testing.TB) http.Handler {
	t.Helper()
	const info = "greeting-1.0.dist-info/"
	wheel := zipArchive(t, map[string]string{
		"greeting.py":     "# " + marker + "\n",
		info + "METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   "greeting.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n",
	})
	const file = "greeting-1.0-py3-none-any.whl"
	mux := http.NewServeMux()
	mux.HandleFunc("/greeting/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!DOCTYPE html><a href=\"../files/%s#sha256=%x\">%s</a>\n", file, sha256.Sum256(wheel), file)
	})
	mux.HandleFunc("/files/"+file, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(wheel) })
	return rooted(mux)
}

// rooted gives paths the slash that http.StripPrefix took.
func rooted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/" + strings.TrimPrefix(r.URL.Path, "/")
		h.ServeHTTP(w, r)
	})
}

// zipArchive returns an archive of files.
func zipArchive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	for name, text := range files {
		file, err := archive.Create(name)
		if err != nil {
			t.Fatalf("make archive: %v", err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatalf("make archive: %v", err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatalf("make archive: %v", err)
	}
	return b.Bytes()
}

// greetingRepository makes a folder from which apt can read of one package.
func greetingRepository(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	entry := fmt.Sprintf(`Package: %s
Version: 1.0
Architecture: all
Maintainer: Tests <tests@localhost>
Filename: ./greeting_1.0_all.deb
Size: 1
SHA256: %064d
Description: %s
`, greeting, 0, marker)
	if err := os.WriteFile(filepath.Join(dir, "Packages"), []byte(entry), 0o644); err != nil {
		t.Fatalf("write list of packages: %v", err)
	}
	return dir
}

// tldrArchive serves the pages of tldr.
func tldrArchive(t testing.TB) http.Handler {
	t.Helper()
	text := "# greeting\n\n> " + marker + ".\n\n- Greet:\n\n`greeting`\n"
	archive := zipArchive(t, map[string]string{
		"tldr-main/pages/common/greeting.md": text, "pages/common/greeting.md": text,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(archive) })
}
