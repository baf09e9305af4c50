package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// hostFiles are files by which root could have the machine do something
// outside. To write one is an escape, be it what already stood there: that is
// all that attempts write, as these are the machine's own.
var hostFiles = []string{
	"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/randomize_va_space", "/proc/sys/kernel/modprobe",
	"/proc/sys/fs/suid_dumpable", "/proc/sys/dev/tty/legacy_tiocsti", "/sys/kernel/uevent_helper",
	"/sys/kernel/mm/transparent_hugepage/enabled",
}

// watchHost notes who writes one of hostFiles, inotify(7), and who sets the
// clock.
func (r *Referee) watchHost() error {
	return errors.Join(r.watchFiles(), r.watchClock())
}

func (r *Referee) watchFiles() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch files: %w", err)
	}
	watched := map[int32]string{}
	for _, path := range hostFiles {
		if number, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err == nil {
			watched[int32(number)] = path
		} // else this machine has no such file, or hides it from this user
	}
	file := os.NewFile(uintptr(fd), "inotify")
	r.closers = append(r.closers, file)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
				path := watched[int32(binary.NativeEndian.Uint32(b))]
				r.noteMachine(path + " was written")
				b = b[unix.SizeofInotifyEvent+binary.NativeEndian.Uint32(b[12:]):]
			}
		}
	}()
	return nil
}

// watchClock has a timer that is cancelled when somebody sets the clock,
// timerfd_create(2).
func (r *Referee) watchClock() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch clock: %w", err)
	}
	file := os.NewFile(uintptr(fd), "timer")
	r.closers = append(r.closers, file)
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	never := &unix.ItimerSpec{Value: unix.Timespec{Sec: 1 << 40}}
	arm := func(fd uintptr) {
		err = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, never, nil)
	}
	if controlled := raw.Control(arm); err != nil || controlled != nil {
		return fmt.Errorf("watch clock: %w", errors.Join(err, controlled))
	}
	go func() {
		for buf := make([]byte, 8); ; {
			_, err := file.Read(buf)
			if !errors.Is(err, unix.ECANCELED) {
				return
			}
			r.noteMachine("the clock was set")
		}
	}()
	return nil
}

// noteMachine notes a change of the machine's own state, which anybody on it may
// have made: it counts only while an attempt is made that is on such state.
func (r *Referee) noteMachine(detail string) {
	if r.machine.Load() {
		r.note("host", detail, nil)
	}
}

// onMachine tells whether an attempt is on the machine's own state.
func onMachine(a Attempt) bool {
	same := func(b Attempt) bool { return a.Name == b.Name }
	return a.Name == helperSetting || slices.ContainsFunc(settingAttempts(), same)
}
