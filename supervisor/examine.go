package supervisor

import (
	"os"
	"os/user"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// Report is what Examine found.
type Report struct {
	Kernel      string  `json:"kernel"`
	User        string  `json:"user"`
	LandlockABI int     `json:"landlock_abi"`
	Guards      []Guard `json:"guards"`
	// Trust says what programs trust the session's certificates.
	Trust []Trust `json:"trust"`
	// Holds says whether an agent can be run; Why not, where it can't.
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"`
}

// Examine tries the guards of this machine with a real launcher, which is
// ended before it would exec anything.
func Examine() Report {
	r := Report{Kernel: kernelRelease(), User: userName()}
	l, err := StartLauncher(nil)
	if err != nil {
		r.Why = err.Error()
		return r
	}
	defer l.Abandon()
	m := probe(l)
	traced := probeTrace(l.pid)
	err = rehearse(l, &m)
	r.Trust = m.trust(traced)
	r.LandlockABI, r.Guards = m.landlock.ABI, m.guards()
	if err != nil {
		r.Why = explainLaunch(err).Error()
		return r
	}
	r.Holds = true
	return r
}

// rehearse does all of a launch but the exec.
func rehearse(l *Launcher, m *machine) error {
	if m.notify != nil {
		return m.notify
	}
	programs, err := seccomp.BuildPrograms(m.options())
	if err != nil {
		return err
	}
	fd, on, err := l.prepare(&plan{
		Programs: programs, Landlock: m.landlock, DropCaps: os.Geteuid() == 0, CloseFiles: m.filesOpen,
	})
	if err != nil {
		return err
	}
	m.launched(on)
	listener, err := seccomp.NewListener(fd)
	if err != nil {
		return err
	}
	if err := listener.Close(); err != nil {
		return err
	}
	flows, err := listenFlows(nil)
	if err != nil {
		return err
	}
	flows.close()
	return nil
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	if unix.Geteuid() == 0 {
		return "root"
	}
	return "an ordinary user"
}
