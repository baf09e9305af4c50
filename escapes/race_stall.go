package escapes

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stallFor is how long others are watched while an attack is on.
	stallFor = 4 * time.Second
	// stallMost is how long a connect of theirs may take.
	stallMost = 2 * time.Second
	// crowdSize is how many threads of an attack do the same: a supervisor
	// that can leave one call alone may yet be held up by many.
	crowdSize = 200
)

// stallAttempts try to hold up the network of the session's other processes.
func stallAttempts() []Attempt {
	return []Attempt{
		stall("memory", "have the supervisor wait for memory behind a userfaultfd", stallMemory, NeedRoot),
		stall("namespace", "have it connect where loopback drops everything", func(a *arena) error {
			return a.inNamespace("namespace", unix.CLONE_NEWUSER|unix.CLONE_NEWNET)
		}, NeedUserns),
		stall("path", "have it look up a path on a file system that never answers", func(a *arena) error {
			return a.inNamespace("fuse", unix.CLONE_NEWUSER|unix.CLONE_NEWNS)
		}, NeedUserns),
		stall("links", "have it look up paths of thousands of steps", stallLinks),
		stall("flag-unix", "make a unix socket blocking in the middle of a connect to one that does not accept", stallFlagUnix),
		stall("flag-tcp", "make a TCP socket blocking in the middle of a connect to one that does not accept", stallFlagTCP),
		stall("flag-send", "make a socket blocking in the middle of a send to one that does not receive", stallFlagSend),
		stall("linger", "leave it the last descriptor of a connection that lingers", stallLinger),
		stall("backlog", "connect to a listener that does not accept, many times", stallBacklog),
		stall("receivers", "wait for datagrams in many threads", stallReceivers),
		stall("flood", "ask for one thing in many threads without end", stallFlood),
		stall("vectors", "send vectors of a thousand datagrams in many threads", stallVectors),
		stall("stopped", "stop processes in the middle of their calls", stallStopped),
		stall("sockets", "open sockets until there are no more", stallSockets),
		stall("ports", "ask for a port that is taken, while processes hold many descriptors", stallPorts),
	}
}

// stall makes an attempt whose attack starts and goes on until the process
// ends. Another process connects to the allowed peer meanwhile.
func stall(name, does string, attack func(*arena) error, needs ...Need) Attempt {
	return Attempt{Name: "stall/" + name, Does: does, Needs: needs, Stalls: true, Try: func(g *Ground) error {
		a, err := newArena(g)
		if err != nil {
			return err
		}
		w, err := a.startWitness()
		if err != nil {
			return err
		}
		if err := attack(a); err != nil {
			return err
		}
		return w.watch()
	}}
}

// witness is a process that connects to the allowed peer all the time.
type witness struct {
	last  atomic.Int64 // when it did so, in nanoseconds since 1970
	count atomic.Int64
}

// startWitness starts one and waits until it has connected.
func (a *arena) startWitness() (*witness, error) {
	cmd := a.part("witness")
	out, err := a.startPart(cmd)
	if err != nil {
		return nil, fmt.Errorf("before the attack: %w", err)
	}
	w := &witness{}
	w.last.Store(time.Now().UnixNano())
	go func() {
		for {
			if _, err := out.ReadByte(); err != nil {
				return
			}
			w.last.Store(time.Now().UnixNano())
			w.count.Add(1)
		}
	}()
	return w, nil
}

// watch says how long the witness's longest connect took.
func (w *witness) watch() error {
	longest := time.Duration(0)
	for end := time.Now().Add(stallFor); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		longest = max(longest, time.Since(time.Unix(0, w.last.Load())))
		if longest > stallMost {
			return Stalled(fmt.Sprintf("another process could not connect for %v, after %d times", longest, w.count.Load()))
		}
	}
	return fmt.Errorf("another process connected %d times, and waited %v at most", w.count.Load(), longest)
}

// witnessPart connects, says so, and rests.
func witnessPart(g *Ground, _ []string) error {
	a, err := newArena(g)
	if err != nil {
		return err
	}
	a.put(0, sockaddr(a.Allowed.AddrPort4()))
	for {
		fd, err := openTCP(unix.AF_INET, 0)
		if err == nil {
			err = a.connect(fd, 0, unix.SizeofSockaddrInet4)
			unix.Close(fd)
		}
		if err == nil {
			if _, err := os.Stdout.WriteString("\n"); err != nil {
				return nil // nobody watches any more
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// startPart starts a process that ends with this one, and waits until it says
// something.
func (a *arena) startPart(cmd *exec.Cmd) (*bufio.Reader, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	a.processes = append(a.processes, cmd)
	out, said := bufio.NewReader(pipe), make(chan error, 1)
	go func() {
		_, err := out.ReadByte()
		said <- err
	}()
	select {
	case err := <-said:
		if err != nil {
			return nil, fmt.Errorf("a process ended: %w", err)
		}
		return out, nil
	case <-time.After(stallFor):
		return nil, fmt.Errorf("a process is not ready after %v", stallFor)
	}
}

// ready says that a part has begun.
func ready() { fmt.Println() }

// crowd does something in many threads, again and again, until the process
// ends.
func (a *arena) crowd(size int, do func(int)) {
	for i := range size {
		go func() {
			runtime.LockOSThread()
			for {
				try1(func() { do(i) })
				// What fails at once shall not use up the processors.
				time.Sleep(rand.N(time.Millisecond))
			}
		}()
	}
}

// endsWithParent ends a part when its parent does.
func endsWithParent() {
	go func() {
		buf := make([]byte, 1)
		_, _ = os.Stdin.Read(buf) // ends when the parent does
		os.Exit(0)
	}()
}
