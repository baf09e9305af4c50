package escapes

import (
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// raceHeldAttempts hold whoever reads the memory of a call, in the middle of
// it, and change descriptor and name meanwhile.
func raceHeldAttempts() []Attempt {
	return []Attempt{
		race("held-hole-connect", "punch holes into the file that the name lies in, so that reading it waits", raceHole),
		race("held-hole-sendmsg", "punch holes into the file that a unix datagram's header lies in", raceHoleMessage),
		race("held-userfault-connect", "hold the reader of the name by userfaultfd, and change name and descriptor", raceFaultConnect, NeedRoot),
		race("held-userfault-sendmsg", "hold the reader of the header by userfaultfd, and change name and descriptor", raceFaultMessage, NeedRoot),
	}
}

// holeSize is large enough for a hole to take milliseconds: whoever reads from
// it waits until it is done (mm/shmem.c, shmem_fault).
const holeSize = 32 << 20

// holes maps a file of holeSize bytes and returns its last page, and a part
// that punches it away.
func holes() (memory, func(), error) {
	fd, err := unix.MemfdCreate("race", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("make file: %w", err)
	}
	if err := unix.Ftruncate(fd, holeSize); err != nil {
		return nil, nil, fmt.Errorf("make file: %w", err)
	}
	page, err := unix.Mmap(fd, holeSize-pageSize, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map file: %w", err)
	}
	const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	return memory(page), func() {
		_ = unix.Fallocate(fd, 0, 0, holeSize)
		_ = unix.Fallocate(fd, punch, 0, holeSize)
	}, nil
}

func raceHole(a *arena) ([]func(), error) {
	page, punch, err := holes()
	if err != nil {
		return nil, err
	}
	names := a.turnNames(page)
	names()
	return []func(){names, punch, a.dialerAt(page.at(0)), a.dialerAt(page.at(0))}, nil
}

func raceHoleMessage(a *arena) ([]func(), error) {
	page, punch, err := holes()
	if err != nil {
		return nil, err
	}
	fd, err := openUnix(unix.SOCK_DGRAM)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	a.put(0, unixName(a.Unix.Dgram))
	a.message(headerAt, 0, maxUnixName)
	named := append([]byte(nil), a.memory[headerAt:headerAt+manyHeaderSize]...)
	nameless := append(make([]byte, 8), named[8:]...)
	write := func() {
		for range turns {
			copy(page, nameless)
			copy(page, named)
		}
	}
	write()
	return []func(){write, punch, func() {
		_, err := call(unix.SYS_SENDMSG, uintptr(fd), page.at(0), unix.MSG_DONTWAIT)
		a.saw(err)
	}}, nil
}

// Requests of ioctl_userfaultfd(2), and of /dev/userfaultfd.
const (
	uffdNew        = 0xaa00
	uffdAPI        = 0xc018aa3f
	uffdRegister   = 0xc020aa00
	uffdCopy       = 0xc028aa03
	uffdVersion    = 0xaa
	uffdMissing    = 1    // UFFDIO_REGISTER_MODE_MISSING
	uffdPageFault  = 0x12 // UFFD_EVENT_PAGEFAULT
	uffdMessage    = 32   // sizeof(struct uffd_msg)
	uffdArgumentAt = 0x8000
	uffdPageAt     = 0x9000
)

// faults are those of one page of memory.
type faults struct {
	fd   int
	page memory
	a    *arena
	// mu is held while the page is given or taken away: whoever gives it
	// would wait for himself.
	mu sync.Mutex
}

// watch makes a page whose faults are told, also those of other processes that
// read it. The system call wants CAP_SYS_PTRACE for that; the device is any
// root's.
func (a *arena) watch() (*faults, error) {
	fd, err := call(unix.SYS_USERFAULTFD, unix.O_CLOEXEC)
	if err != nil {
		device, openErr := unix.Open("/dev/userfaultfd", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if openErr != nil {
			return nil, fmt.Errorf("userfaultfd: %w, open device: %w", err, openErr)
		}
		defer unix.Close(device)
		if fd, err = call(unix.SYS_IOCTL, uintptr(device), uffdNew, unix.O_CLOEXEC); err != nil {
			return nil, fmt.Errorf("use device of userfaultfd: %w", err)
		}
	}
	page, err := newMemory(pageSize)
	if err != nil {
		return nil, err
	}
	f := &faults{fd: int(fd), page: page, a: a}
	if err := f.ask(uffdAPI, uffdVersion, 0, 0); err != nil {
		return nil, err
	}
	return f, f.ask(uffdRegister, uint64(page.at(0)), pageSize, uffdMissing, 0)
}

// ask makes a request with a struct of numbers.
func (f *faults) ask(request uintptr, numbers ...uint64) error {
	for i, n := range numbers {
		f.a.word(uffdArgumentAt+8*i, n)
	}
	_, err := call(unix.SYS_IOCTL, uintptr(f.fd), request, f.a.at(uffdArgumentAt))
	return err
}

// next waits for somebody who reads the page, and says that one came.
func (f *faults) next() bool {
	const patience = 100 // milliseconds
	poll := []unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, patience); err != nil || n == 0 {
		return false
	}
	buf := make([]byte, uffdMessage)
	n, err := unix.Read(f.fd, buf)
	return err == nil && n == uffdMessage && buf[0] == uffdPageFault
}

// give lets those who wait read a page with these bytes, and then has other
// bytes stand first in it.
func (f *faults) give(b []byte, then uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.a.put(uffdPageAt, b)
	if err := f.ask(uffdCopy, uint64(f.page.at(0)), uint64(f.a.at(uffdPageAt)), pageSize, 0, 0); err == nil {
		f.page.store(0, then)
	}
}

// take makes the page missing.
func (f *faults) take() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = unix.Madvise(f.page, unix.MADV_DONTNEED)
}

// raceFaultConnect shows the reader the allowed name, and whoever reads again
// the denied one.
func raceFaultConnect(a *arena) ([]func(), error) {
	f, err := a.watch()
	if err != nil {
		return nil, err
	}
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	denied := word4(a.Denied.AddrPort4())
	return []func(){
		func() {
			if f.next() {
				_ = unix.Dup3(list[1], number, unix.O_CLOEXEC)
				f.give(sockaddr(a.Allowed.AddrPort4()), denied)
			}
		},
		func() {
			fd, err := openTCP(unix.AF_INET, 0)
			if err != nil {
				return
			}
			defer unix.Close(fd)
			f.take()
			for range 2 {
				_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
				_, err = call(unix.SYS_CONNECT, uintptr(number), f.page.at(0), unix.SizeofSockaddrInet4)
				a.saw(err)
			}
		},
	}, nil
}

// raceFaultMessage shows the reader a stream and a header without a name, and
// puts a datagram socket and a name in their place.
func raceFaultMessage(a *arena) ([]func(), error) {
	f, err := a.watch()
	if err != nil {
		return nil, err
	}
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	fd, err := openUnix(unix.SOCK_DGRAM)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	a.put(0, unixName(a.Unix.Dgram))
	a.message(headerAt, 0, maxUnixName)
	header := append([]byte(nil), a.memory[headerAt:headerAt+manyHeaderSize]...)
	name := uint64(a.at(0))
	binary.NativeEndian.PutUint64(header, 0)
	return []func(){
		func() {
			if f.next() {
				_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
				f.give(header, name)
			}
		},
		func() {
			_ = unix.Dup3(list[1], number, unix.O_CLOEXEC)
			f.take()
			for range 2 {
				_, err := call(unix.SYS_SENDMSG, uintptr(number), f.page.at(0), unix.MSG_DONTWAIT)
				a.saw(err)
			}
		},
	}, nil
}
