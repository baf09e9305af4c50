package escapes

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// terminalAttempts type into a terminal that somebody outside reads.
func terminalAttempts() []Attempt {
	return []Attempt{
		{Name: "terminal/type", Does: "type into one's terminal", Rare: true, Try: inTerminal(stepType)},
		{Name: "terminal/type-dev-tty", Does: "type into one's terminal by /dev/tty", Rare: true, Try: inTerminal(stepTypeDevTTY)},
		{Name: "terminal/type-high-bits", Does: "the same with high bits in the request", Rare: true, Try: inTerminal(stepTypeHighBits)},
		{Name: "terminal/type-reopened", Does: "type into the terminal by its name in /dev/pts", Rare: true, Try: inTerminal(stepTypeReopened)},
		{Name: "terminal/type-foreign", Does: "type into another's terminal", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			return typeAt(g.Terminal, unix.TIOCSTI)
		}},
	}
}

// Steps whose controlling terminal is Ground.Terminal; it is their input too.
const (
	stepType         = "step/type"
	stepTypeDevTTY   = "step/type-dev-tty"
	stepTypeHighBits = "step/type-high-bits"
	stepTypeReopened = "step/type-reopened"
)

func terminalSteps() []Attempt {
	return []Attempt{
		{Name: stepType, Try: func(*Ground) error { return typeInto(0, unix.TIOCSTI) }},
		{Name: stepTypeDevTTY, Try: func(*Ground) error { return typeAt("/dev/tty", unix.TIOCSTI) }},
		{Name: stepTypeHighBits, Try: func(*Ground) error { return typeInto(0, 1<<32|unix.TIOCSTI) }},
		{Name: stepTypeReopened, Try: func(g *Ground) error { return typeAt(g.Terminal, unix.TIOCSTI) }},
	}
}

// inTerminal runs a step that leads a session with the terminal: one types
// only into one's own, ioctl_tty(2).
func inTerminal(name string) func(*Ground) error {
	return func(g *Ground) error {
		tty, err := os.OpenFile(g.Terminal, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		defer tty.Close()
		cmd := g.stepCommand("", name, &syscall.SysProcAttr{Setsid: true, Setctty: true})
		cmd.Stdin = tty
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		return fmt.Errorf("%s", out)
	}
}

func typeAt(path string, request uintptr) error {
	tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	return typeInto(tty.Fd(), request)
}

// typeInto types one letter. The end of the session would take it back before
// it is read.
func typeInto(fd, request uintptr) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	defer time.Sleep(look)
	_, err = call(unix.SYS_IOCTL, fd, request, m.put(0, []byte("x")))
	return err
}
