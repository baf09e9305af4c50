package escapes

import (
	"fmt"
	"slices"
)

// Attempt is one way out.
type Attempt struct {
	// Name is "group/variant", as in "tcp/connect-nonblocking".
	Name string
	// Does says what is tried, in a few words for people.
	Does string
	// Needs is what must be there for the attempt to get out where nothing
	// holds it.
	Needs []Need
	// Guards names guards of the machine, as `boundary doctor` has them. The
	// attempt is held where one of them is on. None: it is held everywhere.
	Guards []string
	// Rare tells that many kernels lack what it uses: that it does not get out
	// where nothing holds it then says nothing.
	Rare bool
	// Long tells that the attempt races for Ground.RaceFor.
	Long bool
	// Ends tells that it may end the session itself: closed, never open.
	Ends bool
	// Open says why the attempt is not held, where that is known and stands in
	// THREATS.md.
	Open string
	// Stalls tells that it wants nothing out, but to hold up the network of
	// the session's other processes: there is nothing to show without a
	// boundary, and what it says itself counts (see [Stalled]).
	Stalls bool
	// Try makes the attempt. The error is only shown to people. It must
	// return within seconds, whatever happens to its system calls.
	Try func(*Ground) error
}

// Need is something that not every ground gives.
type Need string

// What attempts need.
const (
	// NeedRoot: the attempt's user is root with all capabilities.
	NeedRoot Need = "root"
	// NeedOrdinary: the attempt's user is not root.
	NeedOrdinary Need = "an ordinary user"
	// NeedIPv6: the peers have IPv6 addresses.
	NeedIPv6 Need = "IPv6"
	// NeedOuter: an interface leads out of the machine, Ground.Outer.
	NeedOuter Need = "an interface that leads out"
	// NeedWeb: the denied peer listens on the ports 80, 443 and 853.
	NeedWeb Need = "a peer on ports 80 and 443"
	// NeedNames: the referee is the machine's nameserver.
	NeedNames Need = "a nameserver of the referee's"
	// NeedUserns: the user may make user namespaces.
	NeedUserns Need = "user namespaces"
	// NeedAMD64: the attempt is machine code for x86-64.
	NeedAMD64 Need = "x86-64"
	// NeedHelpers: there are set-user-id programs, Ground.Helpers.
	NeedHelpers Need = "set-user-id programs"
	// NeedTunnel: there is a tunnel device, Ground.Tunnel.
	NeedTunnel Need = "a tunnel device"
	// NeedURing: io_uring is not switched off.
	NeedURing Need = "io_uring"
)

// unfinished are attempts that are not made yet: what would hold them is not there.
var unfinished = []string{"host/clock"}

// open are the attempts that are known to get out, and why.
var open = map[string]string{
	"unix/rename-allowed":     "a socket's path is judged by the name that it has now, and a user may rename what is his",
	"process/oom":             procFiles,
	"process/oom-old":         procFiles,
	"process/coredump-filter": procFiles,
	"process/timer-slack":     procFiles,
	"host/node":               "root keeps the right to make device nodes, as package managers need it: a container's device rules are the limit",
}

const procFiles = "the kernel lets every process of a user write to these files of /proc/PID: nothing leaves by them"

// All returns every attempt, in the order in which they are made.
func All() []Attempt {
	all := slices.DeleteFunc(every(), func(a Attempt) bool { return slices.Contains(unfinished, a.Name) })
	for i := range all {
		all[i].Open = open[all[i].Name]
	}
	return all
}

func every() []Attempt {
	return slices.Concat(
		tcpAttempts(), udpAttempts(), familyAttempts(), uringAttempts(), abiAttempts(),
		unixAttempts(), loopbackAttempts(), listenAttempts(), inheritAttempts(), nameAttempts(),
		filterAttempts(), processAttempts(), hostAttempts(), namespaceAttempts(), raceAttempts(),
	)
}

// Find returns the attempt of a name.
func Find(name string) (Attempt, error) {
	for _, a := range All() {
		if a.Name == name {
			return a, nil
		}
	}
	return Attempt{}, fmt.Errorf("there is no attempt %q", name)
}

// Missing returns what the attempt needs beside what a ground gives.
func (a Attempt) Missing(gives []Need) []Need {
	return slices.DeleteFunc(slices.Clone(a.Needs), func(n Need) bool { return slices.Contains(gives, n) })
}
