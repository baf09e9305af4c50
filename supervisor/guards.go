package supervisor

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// Guard is one thing that this machine gives to hold an agent, or does not.
type Guard struct {
	// Name is what `require` in a policy lists.
	Name string `json:"name"`
	// Since is the Linux version that brought it.
	Since string `json:"since"`
	// On says whether the machine gives it.
	On bool `json:"on"`
	// Essential: without it nothing starts.
	Essential bool `json:"essential"`
	// Does says what it is good for, Lost what is lost without it.
	Does string `json:"does"`
	Lost string `json:"lost"`
	// Why is the kernel's answer where it is off.
	Why string `json:"why,omitempty"`
}

// Names of guards.
const (
	guardNotify   = "seccomp-notify"
	guardKillable = "seccomp-wait-killable"
	guardGetfd    = "pidfd-getfd"
	guardNet      = "landlock-net"
	guardScope    = "landlock-scope"
	guardTrace    = "landlock-ptrace"
	guardFiles    = "kernel-files"
)

// GuardNames are the names that a policy may require.
func GuardNames() []string {
	return []string{guardNotify, guardKillable, guardGetfd, guardNet, guardScope, guardTrace, guardFiles}
}

// machine is what was found out about this machine with a launcher at hand.
type machine struct {
	notify   error
	killable error
	getfd    error
	landlock seccomp.Landlock
	noLock   error
	// filesOpen says that the agent could write to /proc/sys, being root.
	// Until the launcher has answered it is hoped that this can be mended.
	filesOpen bool
	noFiles   error
}

// launched takes what the launcher has found out.
func (m *machine) launched(on uint32) {
	if m.filesOpen && on&listenerFilesClosed == 0 {
		m.noFiles = errFilesOpen
	}
}

// errFilesOpen says why kernel-files is off.
var errFilesOpen = errors.New("the agent is root, and a mount namespace could not be made (CAP_SYS_ADMIN)")

// options are those of the filters for this machine.
func (m machine) options() seccomp.Options {
	return seccomp.Options{TrapStreams: m.getfd != nil, TrapTrace: !m.landlock.Trace}
}

func probe(l *Launcher) machine {
	m := machine{notify: seccomp.NotifyAvailable(), killable: seccomp.WaitKillableAvailable(), getfd: l.probeGetfd()}
	m.landlock, m.noLock = seccomp.ProbeLandlock()
	m.filesOpen = (l.cred == nil || l.cred.Uid == 0) && kernelFilesOpen() // they are root's
	return m
}

func (m machine) guards() []Guard {
	landlockWhy := func(on bool) error {
		if on || m.noLock != nil {
			return m.noLock
		}
		return seccomp.ErrNotSupported
	}
	return []Guard{
		guard(guardNotify, "5.0", m.notify, true,
			"each network call of the agent's waits for the supervisor's answer", "everything"),
		guard(guardKillable, "5.19", m.killable, false,
			"signals do not make a trapped call run twice", "speed: repeated connects are recognised instead"),
		guard(guardGetfd, "5.6", m.getfd, false,
			"connections are made on the agent's own sockets",
			"speed: the supervisor makes the agent's sockets itself, and keeps a duplicate of each until it is connected; "+
				"a thread that swaps a descriptor under another's sendmsg can reach a unix datagram socket outside; "+
				"and root's agents have no network in a program that gives up being root by itself (nginx)"),
		guard(guardNet, "6.7", landlockWhy(m.landlock.Net), false,
			"the kernel itself refuses the agent every TCP connect", "the second guard of TCP: the filter alone holds it"),
		guard(guardScope, "6.12", landlockWhy(m.landlock.Scope), false,
			"no signals and no abstract unix sockets to processes outside",
			"the agent can signal processes of the same user, and end the supervisor (it then has no network)"),
		guard(guardTrace, "5.19", landlockWhy(m.landlock.Trace), false,
			"no tracing of processes outside, and no way to their memory and descriptors",
			"/proc/PID/mem of the user's other processes, unless Yama forbids it (kernel.yama.ptrace_scope); "+
				"tracing calls are trapped instead"),
		guard(guardFiles, "2.4", m.noFiles, false,
			"the machine's settings (/proc/sys, /sys) can't be written by an agent that is root",
			"as root the agent can have the kernel start a program outside (core_pattern): run it as another user"),
	}
}

func guard(name, since string, err error, essential bool, does, lost string) Guard {
	g := Guard{Name: name, Since: since, On: err == nil, Essential: essential, Does: does, Lost: lost}
	if err != nil {
		g.Why = err.Error()
	}
	return g
}

// missing are the required guards that are not on.
func missing(guards []Guard, required []string) []string {
	var out []string
	for _, g := range guards {
		if !g.On && (g.Essential || slices.Contains(required, g.Name)) {
			out = append(out, g.Name)
		}
	}
	return out
}

// kernelRelease is uname(2)'s.
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
