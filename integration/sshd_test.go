package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// sshd is OpenSSH's server, run by the ordinary user, who can log in with
// a key.
type sshd struct {
	address string
	private string // text of the key
	known   string // file with the server's key under the name "server"
}

// startSSHD starts the server on a free port of loopback.
func startSSHD(t *testing.T) sshd {
	t.Helper()
	dir := asUser.dir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open folder to others: %v", err)
	}
	host, user, known := filepath.Join(dir, "host"), filepath.Join(dir, "user"), filepath.Join(dir, "known")
	for _, file := range []string{host, user} {
		generate := commandIn(t, asUser, dir, []string{program(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", file})
		if out, err := generate.CombinedOutput(); err != nil {
			t.Fatalf("make key: %v\n%s", err, out)
		}
	}
	asUser.write(t, known, "server "+fileText(host+".pub"))
	port := freePort(t)
	config := filepath.Join(dir, "sshd_config")
	asUser.write(t, config, fmt.Sprintf(`ListenAddress 127.0.0.1:%s
HostKey %s
AuthorizedKeysFile %s.pub
PidFile none
UsePAM no
StrictModes no
PermitUserEnvironment no
`, port, host, user))
	server := commandIn(t, asUser, dir, []string{program(t, "sshd"), "-D", "-e", "-f", config})
	said := newOutput()
	server.Stderr = said
	if err := server.Start(); err != nil {
		t.Fatalf("start SSH server: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stop SSH server: %v", err)
		}
		_ = server.Wait() // its status after SIGTERM says nothing
		if t.Failed() {
			t.Logf("the SSH server said:\n%s", said)
		}
	})
	said.await(t, 0, "Server listening on")
	return sshd{address: net.JoinHostPort("127.0.0.1", port), private: fileText(user), known: known}
}

// key writes the key for the user of a mode, and for nobody else: ssh
// does not take a key that others can read.
func (server sshd) key(t *testing.T, as mode, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "key")
	as.write(t, path, server.private)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatalf("keep key to its user: %v", err)
	}
	return path
}
