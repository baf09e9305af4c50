package integration

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSignals sends signals to boundary, which hands them on to its command;
// the command decides what they mean.
func TestSignals(t *testing.T) {
	signals := map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT,
		"TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	}
	for name, sig := range signals {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				script := fmt.Sprintf("trap 'echo got %s; exit 9' %s; echo ready; while :; do sleep 0.02; done", name, name)
				r := session{as: as, policy: denyAll, command: []string{"sh", "-c", script}}.start(t)
				r.stdout.await(t, 0, "ready\n")
				r.signal(sig)
				end := r.wait()
				if end.status != 9 || !strings.Contains(end.stdout, "got "+name) {
					t.Errorf("the command did not get the signal: status %d", end.status)
				}
			})
		})
	}
}

// TestSignalEnds sends signals to a command that does not catch them.
func TestSignalEnds(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		r := session{as: as, policy: denyAll, command: []string{"sh", "-c", "echo ready; exec sleep 1000"}}.start(t)
		r.stdout.await(t, 0, "ready\n")
		r.signal(syscall.SIGTERM)
		if end := r.wait(); end.status != 143 {
			t.Errorf("the status is %d, want 143", end.status)
		}
	})
}

// TestStreams passes a megabyte of noise through standard input and output.
func TestStreams(t *testing.T) {
	noise := make([]byte, 1<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatalf("make noise: %v", err)
	}
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, stdin: bytes.NewReader(noise), command: []string{"cat"}}.run(t)
		if end.stdout != string(noise) {
			t.Errorf("%d bytes came back changed, of %d", len(end.stdout), len(noise))
		}
	})
}

// TestDescriptors opens further descriptors for boundary: its command has
// only the standard three, nothing of its caller and nothing of boundary's.
func TestDescriptors(t *testing.T) {
	secret, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	defer secret.Close()
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, files: []*os.File{secret, secret, secret}, command: []string{shop.agent(t), "descriptors"}}.run(t)
		var open []string
		for line := range strings.Lines(end.stdout) {
			open = append(open, strings.Fields(line)[0])
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, open); diff != "" {
			t.Errorf("open descriptors (-want +got):\n%s\n%s", diff, end.stdout)
		}
	})
}

// TestOrphans leaves processes without a parent behind, which boundary reaps,
// and with status 0 all the same.
func TestOrphans(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: []string{shop.agent(t), "orphans", "20"}}.run(t)
		if diff := cmp.Diff("reaped 20\n", end.stdout); diff != "" || end.status != 0 {
			t.Errorf("orphans, status %d (-want +got):\n%s", end.status, diff)
		}
	})
}

// TestProcessOne runs boundary as process 1 of a process namespace, as the
// entrypoint of a container: root, and under Docker's profile root and another
// user.
func TestProcessOne(t *testing.T) {
	requireRoot(t)
	first := []string{"/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}
	user := []string{
		program(t, "setpriv"), "--reuid", strconv.Itoa(shop.user.uid), "--regid", strconv.Itoa(shop.user.gid), "--clear-groups",
	}
	for as, wrap := range map[mode][]string{
		asRoot:     first,
		docker:     slices.Concat(first, user, []string{shop.confine(t), "docker"}),
		dockerRoot: slices.Concat(first, []string{shop.confine(t), "docker-root"}),
	} {
		t.Run(string(as), func(t *testing.T) {
			start := func(command ...string) session {
				// unshare itself is root's, and outside of the profile.
				return session{as: asRoot, dir: as.dir(t), policy: denyAll, wrap: wrap, command: command}
			}
			end := start(shop.agent(t), "orphans", "20").run(t)
			if diff := cmp.Diff("reaped 20\n", end.stdout); diff != "" || end.status != 0 {
				t.Errorf("orphans, status %d (-want +got):\n%s", end.status, diff)
			}
			if end = start("sh", "-c", "sleep 1000 & exit 7").run(t); end.status != 7 {
				t.Errorf("the status is %d, want 7", end.status)
			}
		})
	}
}
