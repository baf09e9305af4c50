package integration

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"boundary/escapes"

	"golang.org/x/sys/unix"
)

// spareTunnel is a tunnel device that stays when its maker is gone.
const spareTunnel = "spare"

// makeTunnel makes it, as for a VPN or a virtual machine: what comes in by it
// is passed on. Everybody may open the device for tunnels, as on many systems;
// a new one still takes CAP_NET_ADMIN.
func (f *field) makeTunnel(t *testing.T) {
	t.Helper()
	node := filepath.Join(f.dir, "tun")
	err := f.inside.do(func() error {
		if err := unix.Mknod(node, unix.S_IFCHR, int(unix.Mkdev(10, 200))); err != nil {
			return err
		}
		if err := os.Chmod(node, 0o666); err != nil {
			return err
		}
		return unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, "")
	})
	if err != nil {
		t.Fatalf("make node of tunnels: %v", err)
	}
	for _, line := range []string{
		"ip tuntap add dev " + spareTunnel + " mode tun", "ip addr add 203.0.113.249/29 dev " + spareTunnel,
		"ip link set " + spareTunnel + " up",
	} {
		f.must(t, f.inside, line)
	}
	err = f.inside.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/"+spareTunnel+"/forwarding", []byte("1"), 0)
	})
	if err != nil {
		t.Fatalf("have packets of the tunnel passed on: %v", err)
	}
}

// helpers makes programs with more rights than the ordinary user has, which
// nobody else can reach: the folder is the user's alone.
func (f *field) helpers(t *testing.T) map[string]string {
	t.Helper()
	made := map[string]string{}
	if f.as == asRoot {
		return made
	}
	for _, name := range []string{escapes.HelperRoot, escapes.HelperCapabilities} {
		path := filepath.Join(f.dir, "helper-"+name)
		if err := copyProgram(shop.boundary(t), path); err != nil {
			t.Fatalf("make helper: %v", err)
		}
		made[name] = path
	}
	// An os.FileMode has its own bit for this.
	if err := os.Chmod(made[escapes.HelperRoot], os.ModeSetuid|0o755); err != nil {
		t.Fatalf("make helper set-user-id: %v", err)
	}
	if err := unix.Setxattr(made[escapes.HelperCapabilities], "security.capability", fileCapabilities(), 0); err != nil {
		t.Fatalf("give helper capabilities: %v", err)
	}
	return made
}

// fileCapabilities is a struct vfs_cap_data, <linux/capability.h>: a revision
// and the flag "effective", the permitted and the inheritable set of the first
// 32 capabilities, and of the others.
func fileCapabilities() []byte {
	const revision2, effective = 0x02000000, 1
	permitted := uint32(1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_PTRACE)
	var b []byte
	for _, word := range []uint32{revision2 | effective, permitted, 0, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return b
}
