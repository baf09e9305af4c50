package supervisor

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

func TestMissingGuards(t *testing.T) {
	refused := fmt.Errorf("%w: %w", seccomp.ErrNotSupported, unix.EPERM)
	all := machine{landlock: seccomp.Landlock{Trace: true, Net: true, Scope: true, ABI: 7}}
	bare := machine{notify: refused, killable: refused, getfd: refused, noLock: refused, noFiles: refused}
	older := machine{landlock: seccomp.Landlock{Trace: true, Net: true, ABI: 4}, killable: refused}
	for _, tt := range []struct {
		name     string
		machine  machine
		required []string
		want     []string
	}{
		{"all there", all, GuardNames(), nil},
		{"before scopes and nets", machine{landlock: seccomp.Landlock{Trace: true, ABI: 3}}, []string{guardTrace, guardNet}, []string{guardNet}},
		{"older, nothing required", older, nil, nil},
		{"older, what it has required", older, []string{guardNet, guardGetfd}, nil},
		{"older, more required", older, []string{guardScope, guardNet, guardKillable}, []string{guardKillable, guardScope}},
		{"none, nothing required", bare, nil, []string{guardNotify}},
		{"none, all required", bare, GuardNames(), GuardNames()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, missing(tt.machine.guards(), tt.required)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestGuardsTell: every guard has a name that a policy may require, and one
// that is off says why.
func TestGuardsTell(t *testing.T) {
	for _, m := range []machine{{}, {notify: errors.New("no"), killable: errors.New("no"), getfd: errors.New("no"), noLock: errors.New("no"), noFiles: errors.New("no")}} {
		var names []string
		for _, g := range m.guards() {
			names = append(names, g.Name)
			if g.Since == "" || g.Does == "" || g.Lost == "" || g.On == (g.Why != "") {
				t.Errorf("%+v", g)
			}
		}
		if diff := cmp.Diff(GuardNames(), names); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}
