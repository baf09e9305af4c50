package integration

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemPath is where the tests and their agents look for programs: what
// Debian's packages install, which every user can execute.
const systemPath = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

// packages says which Debian package brings a program that a test needs.
func packages() map[string]string {
	return map[string]string{
		"apt-get":  "apt",
		"bash":     "bash",
		"cat":      "coreutils",
		"chromium": "chromium",
		"curl":     "curl",
		"dig":      "bind9-dnsutils",
		"dpkg-deb": "dpkg",
		"gcc":      "gcc",
		"git":      "git",
		"initdb":   "postgresql",
		"java":     "openjdk-17-jdk-headless",
		"javac":    "openjdk-17-jdk-headless",
		"keytool":  "openjdk-17-jdk-headless",
		"musl-gcc": "musl-tools",
		"node":     "nodejs",
		"npm":      "npm",
		"postgres": "postgresql",
		"psql":     "postgresql",
		"python3":  "python3",
		"setpriv":  "util-linux",
		"setsid":   "util-linux",
		"sh":       "dash",
		"sleep":    "coreutils",
		"stty":     "coreutils",
		"su":       "util-linux",
		"true":     "coreutils",
		"unshare":  "util-linux",
		"useradd":  "passwd",
		"wget":     "wget",
	}
}

// program returns the absolute path of a program, or fails the test and says
// what to install.
func program(t testing.TB, name string) string {
	t.Helper()
	from, ok := packages()[name]
	if !ok {
		t.Fatalf("no package is known to bring %s", name)
	}
	folders := filepath.SplitList(systemPath)
	if name == "python3" {
		folders = []string{"/usr/bin"} // Debian's own sees the modules that are Debian packages
	}
	if from == "postgresql" {
		// Debian keeps the server's programs out of the search path.
		versions, err := filepath.Glob("/usr/lib/postgresql/*/bin")
		if err != nil {
			t.Fatalf("look for PostgreSQL: %v", err)
		}
		folders = append(versions, folders...)
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Fatalf("%s is missing: apt-get install %s", name, from)
	return ""
}

// python returns the command line of a script in testdata.
func python(t testing.TB, script string, args ...string) []string {
	t.Helper()
	return append([]string{program(t, "python3"), shop.testdata(script)}, args...)
}

// node returns the command line of a script in testdata.
func node(t testing.TB, script string, args ...string) []string {
	t.Helper()
	return append([]string{program(t, "node"), shop.testdata(script)}, args...)
}

// java returns the command line of the Java client.
func java(t testing.TB, args ...string) []string {
	t.Helper()
	return append([]string{program(t, "java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", shop.javaClasses(t), "Client"}, args...)
}

// TestPackages shows that packages.txt installs everything that the tests
// need and that is not on every Debian machine.
func TestPackages(t *testing.T) {
	essential := []string{"apt", "bash", "coreutils", "dash", "dpkg", "passwd", "util-linux"}
	text, err := os.ReadFile("packages.txt")
	if err != nil {
		t.Fatalf("read list of packages: %v", err)
	}
	listed := strings.Fields(string(text))
	if !slices.IsSorted(listed) {
		t.Errorf("packages.txt is not sorted: %v", listed)
	}
	for _, name := range slices.Sorted(maps.Keys(packages())) {
		from := packages()[name]
		if !slices.Contains(listed, from) && !slices.Contains(essential, from) {
			t.Errorf("packages.txt lacks %s, which brings %s", from, name)
		}
		program(t, name)
	}
}
