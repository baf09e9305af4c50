package supervisor

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// asAgent does something with the effective user and groups of the calling
// process, so that a supervisor that is root lends nobody a right that he has
// not. An ordinary user's agent can only be that user.
//
// The job can't read the caller's memory: the kernel asks for the real user
// there, who is the supervisor's still (ptrace(2), PTRACE_MODE_REALCREDS).
func (s *Session) asAgent(c *call, job func() error) error {
	if !s.root {
		return job()
	}
	return c.asCaller(func(ids) error { return job() })
}

// asCaller is asAgent for a supervisor that is root, and tells the job whom it
// is done for.
func (c *call) asCaller(job func(ids) error) error {
	who, err := idsOf(c.tid())
	if err != nil {
		return unix.EACCES
	}
	if !c.valid() {
		return unix.EINTR
	}
	if who.uid == 0 && who.gid == 0 {
		return job(who)
	}
	return onThread(func() error {
		if err := seccomp.AssumeUser(who.uid, who.gid, who.groups); err != nil {
			return err
		}
		return job(who)
	})
}

// unprivileged does something without the rights that are taken from an agent
// that is root. For netlink(7) the kernel asks the rights of who sends, binds
// and connects, and not only those of the socket's maker.
func (s *Session) unprivileged(job func() error) error {
	if !s.root {
		return job()
	}
	return onThread(func() error {
		if err := seccomp.DropCapabilities(); err != nil {
			return err
		}
		return job()
	})
}

// onThread runs job on a thread of its own, which ends with it: what the job
// changes of the thread (its credentials) is gone then.
func onThread(job func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- job()
	}()
	return <-done
}

type ids struct {
	uid, gid int
	groups   []int
}

// idsOf reads the effective user and the groups of a thread
// (proc_pid_status(5)).
func idsOf(tid int) (ids, error) {
	status, err := readStatus(tid)
	if err != nil {
		return ids{}, err
	}
	uids, gids := statusNumbers(status, "Uid"), statusNumbers(status, "Gid")
	if len(uids) < 2 || len(gids) < 2 {
		return ids{}, unix.EINVAL
	}
	return ids{uid: uids[1], gid: gids[1], groups: statusNumbers(status, "Groups")}, nil
}

// readStatus reads what the kernel tells of a thread in a line each
// (proc_pid_status(5)).
func readStatus(tid int) ([]byte, error) {
	return os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
}

// statusNumbers reads the decimal numbers of one line of /proc/PID/status; nil
// where one is malformed.
func statusNumbers(status []byte, name string) []int {
	_, after, found := bytes.Cut(status, []byte("\n"+name+":"))
	if !found {
		return nil
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	var out []int
	for field := range bytes.FieldsSeq(line) {
		n, err := strconv.Atoi(string(field))
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return slices.Clip(out)
}

// statusMask reads a signal mask, in hexadecimal.
func statusMask(status []byte, name string) uint64 {
	_, after, _ := bytes.Cut(status, []byte("\n"+name+":"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	mask, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	if err != nil {
		return 0
	}
	return mask
}
