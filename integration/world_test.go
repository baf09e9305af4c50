package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"boundary/integration/internal/origin"

	"golang.org/x/sys/unix"
)

// world is a network and mount namespace in which the standard ports of
// loopback are free: an origin answers on 80 and 443 under every name, and a
// nameserver, which resolv.conf names, on 53.
//
// One thread that lives as long as the world holds both namespaces, and
// starts the programs that run in it.
type world struct {
	origin *origin.Server
	names  *nameserver

	work chan func()
}

// newWorld makes a world, which ends with the test. Only root can.
func newWorld(t *testing.T, options origin.Options) *world {
	t.Helper()
	requireRoot(t)
	w := &world{work: make(chan func())}
	ready := make(chan error)
	go w.live(t.TempDir(), options, ready)
	if err := <-ready; err != nil {
		t.Fatalf("make namespace: %v", err)
	}
	t.Cleanup(func() {
		close(w.work)
		if err := errors.Join(w.origin.Close(), w.names.close()); err != nil {
			t.Errorf("close servers: %v", err)
		}
	})
	return w
}

// live is the life of the world's thread. The thread is never unlocked, so it
// ends with the goroutine and takes its namespaces along.
func (w *world) live(dir string, options origin.Options, ready chan<- error) {
	runtime.LockOSThread()
	err := w.enter(dir)
	if err == nil {
		err = w.serve(options)
	}
	ready <- err
	if err != nil {
		return
	}
	for do := range w.work {
		do()
	}
}

// enter makes the namespaces and sets loopback and the name service up.
func (w *world) enter(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	files := map[string]string{
		"/etc/resolv.conf":   "nameserver 127.0.0.1\nsearch corp.test\noptions timeout:2 attempts:1\n",
		"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	}
	for path, text := range files {
		from := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(from, []byte(text), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	return loopbackUp()
}

// serve opens the listeners, which stay in the namespace of this thread.
func (w *world) serve(options origin.Options) error {
	plain, err := net.Listen("tcp", "127.0.0.1:80")
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:443")
	if err != nil {
		return err
	}
	options.HTTP, options.TLS = plain, secure
	if w.origin, err = origin.Start(options); err != nil {
		return err
	}
	w.names, err = startNameserver("127.0.0.1:53")
	return err
}

// loopbackUp is `ip link set lo up`, netdevice(7).
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}

// start starts a command in the world; a nil world is the machine itself.
func (w *world) start(cmd *exec.Cmd) error {
	if w == nil {
		return cmd.Start()
	}
	started := make(chan error)
	w.work <- func() { started <- cmd.Start() }
	return <-started
}
