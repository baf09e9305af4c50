package escapes

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// raceProcessAttempts have the caller interrupted, killed or replaced in the
// middle of its call.
func raceProcessAttempts() []Attempt {
	return []Attempt{
		race("connect-signals", "interrupt connect by signals while the address is turned", raceSignals),
		race("sendmsg-timer", "interrupt sendmsg by a timer while the address is turned", raceTimer),
		race("connect-killed", "kill processes in the middle of connect, and fork others", raceKilled),
		race("connect-exec", "execute another program in the middle of the leader's connect", raceExec),
		race("sendto-exit", "leave a socket to another process in the middle of sendto", raceExit),
	}
}

// raceSignals sends the thread that calls one signal after the other. Go's
// handlers are installed with SA_RESTART, so interrupted calls are made anew.
func raceSignals(a *arena) ([]func(), error) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGUSR1)
	var caller atomic.Int64
	dial := a.dialer(unix.AF_INET, 0, unix.SizeofSockaddrInet4)
	return []func(){
		a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())),
		func() {
			caller.Store(int64(unix.Gettid()))
			dial()
		},
		func() {
			if tid := int(caller.Load()); tid != 0 {
				_ = unix.Tgkill(os.Getpid(), tid, unix.SIGUSR1)
			}
			spin(rand.N(50 * time.Microsecond))
		},
	}, nil
}

// spin waits without giving the processor away.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// raceTimer has a timer's signal come every tenth of a millisecond.
func raceTimer(a *arena) ([]func(), error) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGALRM)
	every := unix.Timeval{Usec: 100}
	if _, err := unix.Setitimer(unix.ItimerReal, unix.Itimerval{Interval: every, Value: every}); err != nil {
		return nil, fmt.Errorf("set timer: %w", err)
	}
	return a.raceMessage(a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())))
}

// sharedNames is memory that forked processes see change.
func (a *arena) sharedNames() (memory, error) {
	m, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	names := memory(m)
	names.store(0, word4(a.Denied.AddrPort4()))
	names.put(256, []byte(a.Token))
	return names, nil
}

// turnNames makes a part that turns the name in shared memory.
func (a *arena) turnNames(names memory) func() {
	denied, allowed := word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())
	return func() {
		for range turns {
			names.store(0, allowed)
			names.store(0, denied)
		}
	}
}

// raceKilled kills the caller at any moment of its call. Its number is soon
// another's: so many processes are made.
func raceKilled(a *arena) ([]func(), error) {
	names, err := a.sharedNames()
	if err != nil {
		return nil, err
	}
	name, token, length := names.at(0), names.at(256), uintptr(len(a.Token))
	call := func() {
		fd, _, _ := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
		if _, _, errno := unix.RawSyscall(unix.SYS_CONNECT, fd, name, unix.SizeofSockaddrInet4); errno == 0 {
			unix.RawSyscall(unix.SYS_WRITE, fd, token, length)
		}
		unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	return []func(){a.turnNames(names), func() {
		child, err := a.fork(0, call)
		a.saw(err)
		if err != nil {
			return
		}
		time.Sleep(rand.N(time.Millisecond))
		child.end()
	}}, nil
}

// raceExit has a process share the table of descriptors, send on a socket and
// be killed, while the socket's number is taken for another.
func raceExit(a *arena) ([]func(), error) {
	names, err := a.sharedNames()
	if err != nil {
		return nil, err
	}
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	name, token, length := names.at(0), names.at(256), uintptr(len(a.Token))
	call := func() {
		unix.RawSyscall6(unix.SYS_SENDTO, uintptr(number), token, length, unix.MSG_DONTWAIT, name, unix.SizeofSockaddrInet4)
	}
	return []func(){a.turnNames(names), func() {
		fd, err := openUDP(unix.AF_INET)
		if err != nil {
			return
		}
		_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
		child, err := a.fork(unix.CLONE_FILES, call)
		unix.Close(fd)
		a.saw(err)
		if err != nil {
			return
		}
		time.Sleep(rand.N(time.Millisecond))
		unix.Close(number)
		child.end()
	}}, nil
}

// parts are what attempts have done by processes of their own, in programs
// that were executed anew. They are told arguments.
func parts() map[string]func(*Ground, []string) error {
	return map[string]func(*Ground, []string) error{
		"exec":      execPart,
		"witness":   witnessPart,
		"namespace": namespacePart,
		"fuse":      fusePart,
		"processes": processesPart,
		"flows":     flowsPart,
		"sockets":   socketsPart,
		"hoard":     hoardPart,
	}
}

// partMain does one part.
func partMain(name, ground string, args []string) {
	g, err := readGround(ground)
	if err == nil {
		err = fmt.Errorf("there is no part %q", name)
		if do := parts()[name]; do != nil {
			err = do(g, args)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// part is the command for one of [parts].
func (g *Ground) part(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{stagePart, name, filepath.Join(g.Dir, "ground.json")}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// raceExec runs processes that execute themselves again and again.
func raceExec(a *arena) ([]func(), error) {
	until := strconv.FormatInt(time.Now().Add(a.RaceFor).UnixNano(), 10)
	return []func(){func() { a.saw(a.part("exec", until).Run()) }}, nil
}

// execPart connects on the process's first thread, until another thread
// executes the program anew and takes the first one's number.
func execPart(g *Ground, args []string) error {
	until, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("read time: %w", err)
	}
	if time.Now().UnixNano() > until {
		return nil
	}
	a, err := newArena(g)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	turn := a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4()))
	dial := a.dialer(unix.AF_INET, 0, unix.SizeofSockaddrInet4)
	turn()
	go func() {
		runtime.LockOSThread()
		for end := time.Now().Add(rand.N(5 * time.Millisecond)); time.Now().Before(end); {
			turn()
		}
		_ = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	}()
	for time.Now().UnixNano() < until {
		dial()
	}
	return nil
}
