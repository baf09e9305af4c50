package escapes

import (
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// raceAttempts race the supervisor, or try to hold it up.
func raceAttempts() []Attempt {
	return slices.Concat(
		raceConnectAttempts(), raceMemoryAttempts(), raceDescriptorAttempts(), raceProcessAttempts(), raceListenAttempts(),
		raceSendAttempts(), raceMessageAttempts(), raceUnixAttempts(), raceUnixMessageAttempts(), raceHeldAttempts(),
		stallAttempts(),
	)
}

// arena is where the parts of a race meet: what they know, the memory that
// they share, and what they saw.
type arena struct {
	*Ground
	memory
	mu   sync.Mutex
	seen map[string]int // guarded by mu: answers of the call, by their text
	// processes are parts that end when their input is closed, as it is when
	// nobody holds the command any more.
	processes []*exec.Cmd
}

const arenaSize = 1 << 20

func newArena(g *Ground) (*arena, error) {
	m, err := newMemory(arenaSize)
	if err != nil {
		return nil, err
	}
	return &arena{Ground: g, memory: m, seen: map[string]int{}}, nil
}

// race makes an attempt of parts that are done at the same time, again and
// again.
func race(name, does string, parts func(*arena) ([]func(), error), needs ...Need) Attempt {
	return Attempt{Name: "race/" + name, Does: does, Needs: needs, Long: true, Try: func(g *Ground) error {
		a, err := newArena(g)
		if err != nil {
			return err
		}
		list, err := parts(a)
		if err != nil {
			return err
		}
		a.contend(list...)
		return a.result()
	}}
}

// contend does each part again and again, on a thread of its own, until the
// time of the race is over. It does not wait for a part whose call hangs.
func (a *arena) contend(parts ...func()) {
	// The kernel shall decide who runs when: Go would let the parts take turns.
	runtime.GOMAXPROCS(runtime.NumCPU() + len(parts))
	done := make(chan struct{}, len(parts))
	for _, part := range parts {
		go func() {
			runtime.LockOSThread()         // never unlocked: the thread ends with the part
			debug.SetPanicOnFault(true)    // the memory may be taken away under it
			a.until(func() { try1(part) }) // a fault ends one turn
			done <- struct{}{}
		}()
	}
	limit := time.After(a.RaceFor + time.Second)
	for range parts {
		select {
		case <-done:
		case <-limit:
			return
		}
	}
}

// try1 does a part once, whatever happens to it.
func try1(part func()) {
	defer func() { _ = recover() }()
	part()
}

// saw counts an answer, for people.
func (a *arena) saw(err error) {
	text := "done"
	if err != nil {
		text = err.Error()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[text]++
}

// result tells what was seen.
func (a *arena) result() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var texts []string
	for _, text := range slices.Sorted(maps.Keys(a.seen)) {
		texts = append(texts, fmt.Sprintf("%d × %s", a.seen[text], text))
	}
	return fmt.Errorf("raced for %v: %s", a.RaceFor, strings.Join(texts, ", "))
}

// turns is how often something is turned between two looks at the clock.
const turns = 512

// turn makes a part that writes one value after the other into the eight bytes
// at an offset, each in one piece.
func (a *arena) turn(offset int, values ...uint64) func() {
	return func() {
		for range turns {
			for _, v := range values {
				a.store(offset, v)
			}
		}
	}
}

// turnBytes makes a part that copies one value after the other to an offset.
func (a *arena) turnBytes(offset int, values ...[]byte) func() {
	return func() {
		for range turns {
			for _, v := range values {
				copy(a.memory[offset:], v)
			}
		}
	}
}

// openTCP makes a socket that is reset when it is closed: a race would use up
// the ports otherwise.
func openTCP(family uintptr, flags uintptr) (int, error) {
	fd, err := call(unix.SYS_SOCKET, family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	// Where this fails ports last all the same, for a while.
	_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	return int(fd), nil
}

// openUDP makes a UDP socket.
func openUDP(family uintptr) (int, error) {
	fd, err := call(unix.SYS_SOCKET, family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	return int(fd), nil
}

// connect makes the call with a name that lies in the arena.
func (a *arena) connect(fd, offset int, length uintptr) error {
	_, err := call(unix.SYS_CONNECT, uintptr(fd), a.at(offset), length)
	return err
}

// tell writes the token natively.
func (a *arena) tell(fd int) {
	_, _ = unix.Write(fd, []byte(a.Token)) // where it goes is seen outside
}

// dialer makes a part that connects a new TCP socket to the name at an offset
// and, where that works, writes the token.
func (a *arena) dialer(family uintptr, offset int, length uintptr) func() {
	return func() {
		fd, err := openTCP(family, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		err = a.connect(fd, offset, length)
		a.saw(err)
		if err == nil {
			a.tell(fd)
		}
	}
}
