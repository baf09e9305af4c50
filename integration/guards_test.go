package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestGuards: a guard that this kernel's version brings is on, for `doctor` and
// in a session. One that is missing, since it was not enabled or something
// refuses it, would let other tests prove less than they say.
func TestGuards(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		cmd := commandIn(t, as, as.dir(t), []string{shop.boundary(t), "doctor", "--json"})
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("run doctor: %v", err)
		}
		var report struct {
			Guards []struct {
				Name, Since, Why string
				On               bool
			}
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("read report: %v", err)
		}
		var on []string
		for _, guard := range report.Guards {
			// Docker's profile refuses the call to whoever has no CAP_SYS_PTRACE.
			refused := as == docker && guard.Name == "pidfd-getfd"
			if want := kernelSince(t, guard.Since) && !refused; guard.On != want {
				t.Errorf("%s, of Linux %s, is on: %t, want %t (%s)", guard.Name, guard.Since, guard.On, want, guard.Why)
			}
			if guard.On {
				on = append(on, guard.Name)
			}
		}
		if len(on) < 4 || !slices.Contains(on, "seccomp-notify") {
			t.Errorf("only these guards are on: %v", on)
		}
		end := session{as: as, policy: denyAll, command: []string{"true"}}.run(t)
		var start struct{ Start struct{ Guards []string } }
		if err := json.Unmarshal([]byte(end.records.of("session.start", "").one(t, "the start").line), &start); err != nil {
			t.Fatalf("read record: %v", err)
		}
		if diff := cmp.Diff(on, start.Start.Guards); diff != "" {
			t.Errorf("guards that doctor and a session say are on (-doctor +session):\n%s", diff)
		}
	})
}

// kernelSince says whether the kernel is of a version or newer.
func kernelSince(t *testing.T, version string) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatalf("uname: %v", err)
	}
	read := func(text string) (major, minor int) {
		if _, err := fmt.Sscanf(text, "%d.%d", &major, &minor); err != nil {
			t.Fatalf("read version %q: %v", text, err)
		}
		return major, minor
	}
	major, minor := read(unix.ByteSliceToString(u.Release[:]))
	wantMajor, wantMinor := read(version)
	return major > wantMajor || major == wantMajor && minor >= wantMinor
}
