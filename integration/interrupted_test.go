package integration

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestInterrupted has signals come while the supervisor waits for the agent: in
// a connect to a full backlog, in a send to a full socket, in a receive. It must see
// what it sees without a boundary, with SA_RESTART and without it.
func TestInterrupted(t *testing.T) {
	program := interruptedProgram(t)
	want := withoutBoundary(t, program)
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: []string{program}}.run(t)
		if diff := cmp.Diff(want, end.stdout); diff != "" {
			t.Errorf("(-without +with)\n%s", diff)
		}
	})
}

// TestSupervisorInterrupted sends the supervisor the signal by which Go preempts
// its threads, all the while: the agent is to hear of its own signals only.
func TestSupervisorInterrupted(t *testing.T) {
	program := interruptedProgram(t)
	want := withoutBoundary(t, program)
	eachMode(t, func(t *testing.T, as mode) {
		r := session{as: as, policy: denyAll, command: []string{program}}.start(t)
		sent := 0
		for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
			select {
			case <-r.done:
				tick.Stop()
				if diff := cmp.Diff(want, r.wait().stdout); diff != "" {
					t.Errorf("(-without +with)\n%s", diff)
				}
				if sent == 0 {
					t.Error("no signal was sent")
				}
				return
			default:
				sent += signalThreads(r.pid(), unix.SIGURG)
			}
		}
	})
}

// signalThreads sends a signal to each thread of a process, and says to how many.
func signalThreads(pid int, sig unix.Signal) (sent int) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0 // it has ended
	}
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil && unix.Tgkill(pid, tid, sig) == nil {
			sent++
		}
	}
	return sent
}

func interruptedProgram(t *testing.T) string {
	t.Helper()
	return shop.file(t, "interrupted", func(path string) error {
		return tool(".", nil, program(t, "gcc"), "-O2", "-o", path, "testdata/interrupted.c")
	})
}

// withoutBoundary returns what a program prints where nothing is in its way.
func withoutBoundary(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := commandIn(t, asUser, asUser.dir(t), argv).Output()
	if err != nil {
		t.Fatalf("without boundary: %v", err)
	}
	return string(out)
}
