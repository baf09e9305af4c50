package escapes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// raceMemoryAttempts take the page with the name away under connect(2), or put
// another in its place.
func raceMemoryAttempts() []Attempt {
	return []Attempt{
		race("connect-remapped", "map another page over the name under connect", raceRemapped),
		race("connect-protected", "take the right to read the name away under connect", raceProtected),
		race("connect-discarded", "discard the private copy of the name's page under connect", raceDiscarded),
		race("connect-truncated", "cut off the file that the name lies in under connect", raceTruncated),
		race("sendmsg-unmapped", "unmap the header's vector and map another under sendmsg", raceUnmapped),
	}
}

// backed is a file in memory with the denied name on its first page and the
// allowed one on its second, and a shared mapping of it.
func (a *arena) backed() (fd int, m memory, err error) {
	fd, err = unix.MemfdCreate("race", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, nil, fmt.Errorf("make file: %w", err)
	}
	if err := unix.Ftruncate(fd, 2*pageSize); err != nil {
		return -1, nil, fmt.Errorf("make file: %w", err)
	}
	b, err := unix.Mmap(fd, 0, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return -1, nil, fmt.Errorf("map file: %w", err)
	}
	m = memory(b)
	m.put(0, sockaddr(a.Denied.AddrPort4()))
	m.put(pageSize, sockaddr(a.Allowed.AddrPort4()))
	return fd, m, nil
}

// mapOver maps a page of a file at an address, in place of what was there.
func mapOver(at uintptr, fd, offset int) {
	_, _ = call(unix.SYS_MMAP, at, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED, uintptr(fd), uintptr(offset))
}

func raceRemapped(a *arena) ([]func(), error) {
	fd, m, err := a.backed()
	if err != nil {
		return nil, err
	}
	at := m.at(0)
	return []func(){
		func() {
			mapOver(at, fd, pageSize)
			mapOver(at, fd, 0)
		},
		a.dialerAt(at), a.dialerAt(at),
	}, nil
}

// dialerAt is dialer for a name outside of the arena's memory.
func (a *arena) dialerAt(at uintptr) func() {
	return func() {
		fd, err := openTCP(unix.AF_INET, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		_, err = call(unix.SYS_CONNECT, uintptr(fd), at, unix.SizeofSockaddrInet4)
		a.saw(err)
		if err == nil {
			a.tell(fd)
		}
	}
}

// raceProtected turns the name by one mapping, and protects the other.
func raceProtected(a *arena) ([]func(), error) {
	fd, m, err := a.backed()
	if err != nil {
		return nil, err
	}
	b, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	at := memory(b).at(0)
	denied, allowed := word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())
	return []func(){
		func() {
			for range turns {
				m.store(0, allowed)
				m.store(0, denied)
			}
		},
		func() {
			_, _ = call(unix.SYS_MPROTECT, at, pageSize, unix.PROT_NONE)
			_, _ = call(unix.SYS_MPROTECT, at, pageSize, unix.PROT_READ)
		},
		a.dialerAt(at),
	}, nil
}

// raceDiscarded writes the allowed name into a private copy of a page that has
// the denied one.
func raceDiscarded(a *arena) ([]func(), error) {
	fd, _, err := a.backed()
	if err != nil {
		return nil, err
	}
	b, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	private, allowed := memory(b), word4(a.Allowed.AddrPort4())
	return []func(){
		func() {
			private.store(0, allowed)
			_ = unix.Madvise(private, unix.MADV_DONTNEED)
		},
		a.dialerAt(private.at(0)), a.dialerAt(private.at(0)),
	}, nil
}

// raceTruncated leaves the mapping without a file, and writes another name.
func raceTruncated(a *arena) ([]func(), error) {
	fd, m, err := a.backed()
	if err != nil {
		return nil, err
	}
	denied, allowed := sockaddr(a.Denied.AddrPort4()), sockaddr(a.Allowed.AddrPort4())
	return []func(){
		func() {
			for _, name := range [][]byte{allowed, denied} {
				_ = unix.Ftruncate(fd, 0)
				_ = unix.Ftruncate(fd, pageSize)
				_, _ = unix.Pwrite(fd, name, 0)
			}
		},
		a.dialerAt(m.at(0)), a.dialerAt(m.at(0)),
	}, nil
}

// raceUnmapped has the header of a message on a page that goes and comes back
// with another name.
func raceUnmapped(a *arena) ([]func(), error) {
	fd, m, err := a.backed()
	if err != nil {
		return nil, err
	}
	socket, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	const header = 128 // on either page, behind the name
	a.message(headerAt, 0, unix.SizeofSockaddrInet4)
	for _, page := range []int{0, pageSize} {
		m.put(page+header, a.memory[headerAt:headerAt+manyHeaderSize])
		m.word(page+header+headerName, uint64(m.at(0)))
	}
	at := m.at(0)
	return []func(){
		func() {
			for _, offset := range []int{pageSize, 0} {
				_, _ = call(unix.SYS_MUNMAP, at, pageSize)
				mapOver(at, fd, offset)
			}
		},
		func() {
			_, err := call(unix.SYS_SENDMSG, uintptr(socket), at+header, unix.MSG_DONTWAIT)
			a.saw(err)
		},
	}, nil
}
