package supervisor

import (
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
)

// GuardNames are the names that a policy may require.
func GuardNames() []string {
	return []string{guardNotify, guardKillable, guardGetfd, guardNet, guardScope}
}

// machine is what was found out about this machine with a launcher at hand.
type machine struct {
	notify   error
	killable error
	getfd    error
	landlock seccomp.Landlock
	noLock   error
}

func probe(l *Launcher) machine {
	m := machine{notify: seccomp.NotifyAvailable(), killable: seccomp.WaitKillableAvailable(), getfd: l.probeGetfd()}
	m.landlock, m.noLock = seccomp.ProbeLandlock()
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
			"speed: the supervisor makes the agent's sockets itself, and keeps a duplicate of each until it is connected"),
		guard(guardNet, "6.7", landlockWhy(m.landlock.Net), false,
			"the kernel itself refuses the agent every TCP connect", "the second guard of TCP: the filter alone holds it"),
		guard(guardScope, "6.12", landlockWhy(m.landlock.Scope), false,
			"no signals and no abstract unix sockets to processes outside",
			"the agent can signal processes of the same user, and end the supervisor (it then has no network)"),
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
