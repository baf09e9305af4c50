package supervisor

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// raw writes an address of a family, cut or filled to a length.
func raw(family uint16, length int, rest ...byte) sockaddr {
	b := binary.NativeEndian.AppendUint16(nil, family)
	b = append(append(b, rest...), make([]byte, maxSockaddr)...)
	return b[:length]
}

// checkSockaddr states what holds of any bytes.
func checkSockaddr(t *testing.T, b sockaddr) {
	t.Helper()
	ap, err := b.addrPort()
	least, known := map[uint16]int{unix.AF_INET: minSockaddrIn, unix.AF_INET6: minSockaddrIn6}[b.family()]
	switch {
	case !known && err != unix.EAFNOSUPPORT, known && len(b) < least && err != unix.EINVAL, known && len(b) >= least && err != nil:
		t.Fatalf("%x: %v", []byte(b), err)
	case err != nil:
		return
	case ap.Addr().Is4In6() || ap.Addr().Zone() != "":
		t.Fatalf("%x: %s is not plain", []byte(b), ap)
	}
	family := int(b.family())
	again, err := inetSockaddr(family, ap).addrPort()
	if err != nil || again != ap {
		t.Fatalf("%s written and read is %s, %v", ap, again, err)
	}
	if got := fromUnixSockaddr(unixSockaddr(family, ap)); got != ap {
		t.Fatalf("%s through x/sys is %s", ap, got)
	}
}

func TestSockaddrLengths(t *testing.T) {
	for length := range maxSockaddr + 1 {
		for family := range uint16(unix.AF_INET6 + 2) {
			checkSockaddr(t, raw(family, length, 1, 2, 3, 4, 5, 6, 7, 8))
		}
	}
}

// TestReadSockaddrBounds: the kernel's own checks come before any memory is read.
func TestReadSockaddrBounds(t *testing.T) {
	c := &call{}
	c.n.PID = uint32(unix.Getpid())
	for _, tt := range []struct {
		length int32
		want   unix.Errno
	}{{-1, unix.EINVAL}, {-1 << 31, unix.EINVAL}, {129, unix.EINVAL}, {1<<31 - 1, unix.EINVAL}, {16, unix.EFAULT}, {128, unix.EFAULT}} {
		if _, err := c.readSockaddr(0, tt.length); errnoOf(err) != tt.want {
			t.Errorf("length %d: %v, want %v", tt.length, err, tt.want)
		}
	}
}

// TestKernelReadsSockaddr: what is written here is what the kernel means.
func TestKernelReadsSockaddr(t *testing.T) {
	for _, tt := range []struct {
		family int
		at     string
	}{{unix.AF_INET, "127.0.0.1:0"}, {unix.AF_INET6, "[::1]:0"}, {unix.AF_INET6, "127.0.0.1:0"}} {
		fd, err := unix.Socket(tt.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		want := netip.MustParseAddrPort(tt.at)
		if err := unix.Bind(fd, unixSockaddr(tt.family, want)); err != nil {
			t.Fatalf("bind to %s: %v", want, err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		if got := fromUnixSockaddr(name); got.Addr() != want.Addr() || got.Port() == 0 {
			t.Errorf("bound to %s, want %s", got, want)
		}
	}
}

func TestSurrogateAddr(t *testing.T) {
	v4 := raw(unix.AF_INET, 16, 0, 53, 192, 0, 2, 7)
	v6 := inetSockaddr(unix.AF_INET6, netip.MustParseAddrPort("[2001:db8::1]:53"))
	for _, tt := range []struct {
		name   string
		family int
		addr   sockaddr
		want   string
		errno  unix.Errno
	}{
		{"IPv4 of IPv4", unix.AF_INET, v4, "192.0.2.7:53", 0},
		{"IPv4 of IPv6", unix.AF_INET6, v4, "192.0.2.7:53", 0},
		{"IPv6 of IPv4", unix.AF_INET, v6, "", unix.EAFNOSUPPORT},
		{"IPv6 of IPv6", unix.AF_INET6, v6, "[2001:db8::1]:53", 0},
		{"too short", unix.AF_INET, v4[:8], "", unix.EINVAL},
		{"unix", unix.AF_INET, raw(unix.AF_UNIX, 16), "", unix.EAFNOSUPPORT},
	} {
		got, errno := surrogateAddr(&surrogate{family: tt.family}, tt.addr)
		if errno != tt.errno || errno == 0 && got.String() != tt.want {
			t.Errorf("%s: %s, %v; want %s, %v", tt.name, got, errno, tt.want, tt.errno)
		}
	}
}
