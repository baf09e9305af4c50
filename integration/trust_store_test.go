package integration

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// layout is how a distribution keeps its certificates.
type layout struct {
	name string
	// make is a script that makes the files of the distribution in folders
	// that are empty; $1 is the system's own bundle.
	make string
	// read are the places that its programs read.
	read []string
}

func layouts() []layout {
	return []layout{
		{"Debian", `mkdir -p /etc/ssl/certs /usr/local/share/ca-certificates
cp "$1" /etc/ssl/certs/ca-certificates.crt
ln -s ca-certificates.crt /etc/ssl/certs/00000000.0`,
			[]string{"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs"}},
		{"Alpine", `mkdir -p /etc/ssl/certs
cp "$1" /etc/ssl/certs/ca-certificates.crt
ln -s certs/ca-certificates.crt /etc/ssl/cert.pem`,
			[]string{"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/ssl/certs"}},
		{"Fedora", `cd /etc/pki && mkdir -p ca-trust/source/anchors ca-trust/extracted/pem/directory-hash tls/certs
cp "$1" ca-trust/extracted/pem/tls-ca-bundle.pem
chmod 444 ca-trust/extracted/pem/tls-ca-bundle.pem
ln -s /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem tls/cert.pem
ln -s /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem tls/certs/ca-bundle.crt
ln -s /etc/pki/tls/certs /etc/ssl/certs`,
			[]string{"/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted/pem/directory-hash"}},
	}
}

// storeFolders are all that hold certificates in some layout.
var storeFolders = []string{"/etc/ssl", "/etc/pki", "/usr/local/share/ca-certificates"}

// system is a mount namespace whose certificates are those of a layout, in
// memory. The machine's own are out of reach there.
type system struct {
	layout
	*world
}

// newStore makes one. Only root can.
func newStore(t *testing.T, l layout) *system {
	t.Helper()
	requireRoot(t)
	bundle, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Fatalf("read the machine's certificates: %v", err)
	}
	from := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(from, bundle, 0o644); err != nil {
		t.Fatalf("write certificates: %v", err)
	}
	s := &system{layout: l, world: &world{work: make(chan func())}}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the namespace ends with the thread
		err := s.enter(from)
		ready <- err
		for do := range s.work {
			do()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make system: %v", err)
	}
	t.Cleanup(func() { close(s.work) })
	return s
}

func (s *system) enter(bundle string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, folder := range storeFolders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	out, err := exec.Command("/bin/sh", "-euc", s.make, "sh", bundle).CombinedOutput()
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}

// do runs a function in the system.
func (s *system) do(what func()) {
	done := make(chan struct{})
	s.work <- func() { what(); close(done) }
	<-done
}

// files returns what there is in the store: by path the text of a file, or
// where a link leads.
func (s *system) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	s.do(func() {
		for _, folder := range storeFolders {
			_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
				switch {
				case err != nil || entry.IsDir():
				case entry.Type()&fs.ModeSymlink != 0:
					target, _ := os.Readlink(path)
					all[path] = "-> " + target
				default:
					text, _ := os.ReadFile(path)
					info, _ := entry.Info()
					all[path] = info.Mode().String() + " " + string(text)
				}
				return nil
			})
		}
	})
	if len(all) == 0 {
		t.Fatal("the system has no certificates")
	}
	return all
}

// contained wraps boundary as in a container whose root has no CAP_SYS_ADMIN:
// there is no mount namespace for the agent then.
func contained(t *testing.T) []string {
	return []string{program(t, "setpriv"), "--bounding-set=-sys_admin", "--inh-caps=-all"}
}

// readsSystem is a command that makes a request, by each of the system's places
// in turn.
func (s *system) readsSystem(t *testing.T, words ...string) []string {
	return append(python(t, "system_roots.py", append(words, "https://"+allowedHost+"/json")...), s.read...)
}

// trusted says how often a request was answered.
func trusted(text string) int { return strings.Count(text, " 200\n") }
