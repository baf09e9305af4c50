package integration

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"boundary/escapes"
)

var (
	// raceFor is how long each race is tried.
	raceFor = flag.Duration("racefor", 5*time.Second, "how long each race between the agent and its supervisor is tried")
	// races has the races made too. They take long: see `make escapes`.
	races = flag.Bool("races", false, "make the attempts that race too")
	// onlyAttempts chooses attempts for somebody who works on one.
	onlyAttempts = flag.String("attempts", "*/*", "glob of the names of the escapes to try")
)

// stances are the circumstances under which escapes are tried.
var stances = []struct {
	name    string
	as      mode
	profile string   // of confine
	lacks   []string // guards that are off
	control bool     // show that the attempts get out without a boundary
}{
	{name: "user", as: asUser, control: true},
	{name: "root", as: asRoot, control: true},
	{name: "docker", as: asUser, profile: "docker", lacks: []string{"pidfd-getfd"}},
	{name: "user-no-landlock", as: asUser, profile: "no-landlock", lacks: []string{"landlock-net", "landlock-scope", "landlock-ptrace"}},
	{name: "root-no-landlock", as: asRoot, profile: "no-landlock", lacks: []string{"landlock-net", "landlock-scope", "landlock-ptrace"}},
}

// TestEscapes makes every attempt of package escapes: first without a
// boundary, where it must get out, then behind one, where nothing may.
func TestEscapes(t *testing.T) {
	for _, stance := range stances {
		t.Run(stance.name, func(t *testing.T) {
			f := newField(t, stance.as, *raceFor)
			free := 0
			for _, a := range chosenAttempts(t) {
				if len(a.Missing(f.referee.Gives())) > 0 || (a.Long || a.Stalls) && !*races {
					continue
				}
				t.Run(a.Name, func(t *testing.T) {
					if stance.control && !a.Stalls && f.getsOut(t, a) {
						free++
					}
					f.isHeld(t, a, stance.profile, stance.lacks)
				})
			}
			t.Logf("%d attempts got out without a boundary", free)
			const enough = 150
			if stance.control && *onlyAttempts == "*/*" && free < enough {
				t.Errorf("only %d attempts are shown to get out without a boundary, want %d", free, enough)
			}
		})
	}
}

// TestKernelGuards makes the attempts by TCP and UDP against a supervisor that
// lets everything through, so that nothing is left but what the kernel itself
// holds: Landlock for TCP, and for UDP that the agent has no socket for it.
func TestKernelGuards(t *testing.T) {
	for _, as := range []mode{asUser, asRoot} {
		t.Run(string(as), func(t *testing.T) {
			f := newField(t, as, *raceFor)
			for _, a := range chosenAttempts(t) {
				group, _, _ := strings.Cut(a.Name, "/")
				if group != "tcp" && group != "udp" || len(a.Missing(f.referee.Gives())) > 0 || a.Long && !*races {
					continue
				}
				t.Run(a.Name, func(t *testing.T) {
					out, err := f.referee.Held(a, f.held(t, shop.careless(t), ""))
					if err != nil {
						t.Fatal(err)
					}
					for _, note := range out.Out {
						if slices.Contains([]string{"tcp", "udp", "packet", "name"}, note.Channel) {
							t.Errorf("OUT: %v, the attempt says %q", note, out.Said)
						}
					}
				})
			}
		})
	}
}

// chosenAttempts returns what -attempts names.
func chosenAttempts(t *testing.T) []escapes.Attempt {
	t.Helper()
	return slices.DeleteFunc(escapes.All(), func(a escapes.Attempt) bool {
		match, err := filepath.Match(*onlyAttempts, a.Name)
		if err != nil {
			t.Fatalf("-attempts %s: %v", *onlyAttempts, err)
		}
		return !match
	})
}

// getsOut makes an attempt without a boundary.
func (f *field) getsOut(t *testing.T, a escapes.Attempt) bool {
	t.Helper()
	out, err := f.referee.Free(a, f.free)
	if err != nil {
		t.Fatalf("without boundary: %v", err)
	}
	if len(out.Out) == 0 && !a.Rare {
		t.Errorf("this is no attempt: nothing got out without a boundary: %q (status %d, hung: %t)\n%s", out.Said, out.Status, out.Hung, out.Stderr)
	}
	return len(out.Out) > 0
}

// isHeld makes an attempt behind a boundary. Where every guard that would hold
// it is off, it is expected to get out: that is what `doctor` says is lost.
func (f *field) isHeld(t *testing.T, a escapes.Attempt, profile string, lacks []string) {
	t.Helper()
	log := filepath.Join(f.dir, "audit.jsonl")
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	out, err := f.referee.Held(a, f.held(t, shop.boundary(t), profile))
	if err != nil {
		t.Fatalf("with boundary: %v", err)
	}
	lost := len(a.Guards) > 0 && !slices.ContainsFunc(a.Guards, func(g string) bool { return !slices.Contains(lacks, g) })
	switch {
	case len(out.Out) > 0 && a.Open != "":
		t.Logf("known to be open: %s", a.Open)
	case len(out.Out) > 0 && !lost:
		t.Errorf("OUT: %v\nthe attempt says %q (status %d)\n%s", out.Out, out.Said, out.Status, out.Stderr)
	case out.Stalled != "":
		t.Errorf("STALLED: %s (status %d)\n%s", out.Stalled, out.Status, out.Stderr)
	case out.Hung:
		t.Errorf("hung: %q\n%s", out.Said, out.Stderr)
	case a.Ends || lost:
	case out.Status != 0:
		t.Errorf("the session ended with status %d: %q\n%s", out.Status, out.Said, out.Stderr)
	default:
		readRecords(t, log).checkSession(t)
	}
}
