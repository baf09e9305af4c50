package escapes

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal, pty(7), at whose end somebody outside reads
// what is typed.
type terminal struct{ master, slave *os.File }

// Close implements io.Closer.
func (t *terminal) Close() error { return errors.Join(t.slave.Close(), t.master.Close()) }

// openTerminal opens a terminal of the attempts' user, and notes all that can
// be read there as if it were typed: the referee types nothing. Each attempt
// has its own, since the end of a session hangs its terminal up.
func (r *Referee) openTerminal(g *Ground) error {
	if r.terminal != nil {
		_ = r.terminal.Close() // it may have been hung up
		r.terminal = nil
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	path, err := unlockTerminal(master)
	if err != nil {
		return errors.Join(err, master.Close())
	}
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return errors.Join(fmt.Errorf("open terminal: %w", err), master.Close())
	}
	r.terminal = &terminal{master: master, slave: slave}
	if err := r.prepareTerminal(slave, path); err != nil {
		return err
	}
	g.Terminal = path
	token := g.Token
	go func() {
		buf := make([]byte, 256)
		for {
			n, err := slave.Read(buf)
			if err != nil {
				return
			}
			r.note("terminal", fmt.Sprintf("%q was typed", buf[:n]), []byte(token))
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, master) }() // what attempts write there is allowed
	return nil
}

// unlockTerminal returns the path of the terminal's other end.
func unlockTerminal(master *os.File) (path string, err error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return "", err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var number uint32
		number, failed = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		path = fmt.Sprintf("/dev/pts/%d", number)
		failed = errors.Join(failed, unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0))
	})
	return path, errors.Join(err, failed)
}

// prepareTerminal gives the terminal to the attempts' user, and has it pass on
// every byte at once.
func (r *Referee) prepareTerminal(slave *os.File, path string) error {
	raw, err := slave.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil {
			failed = err
			return
		}
		t.Iflag, t.Lflag = 0, 0
		failed = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("prepare terminal: %w", err)
	}
	if c := r.options.Credential; c != nil {
		return os.Chown(path, int(c.Uid), int(c.Gid))
	}
	return nil
}
