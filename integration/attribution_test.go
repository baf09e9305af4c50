package integration

import "testing"

// TestMovedProcess has one process ask three times: as it was started, from
// another folder and (where it can) as another user, and as an orphan. Each
// record says what was true at its time, and a rule that denies what is below
// a program denies the orphan too, whose parents nobody knows.
func TestMovedProcess(t *testing.T) {
	const policy = `deny "below-make" {
  hosts    = ["192.0.2.1"]
  ancestor = ["make"]
}
`
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		end := session{as: as, dir: dir, policy: policy, command: python(t, "move.py")}.run(t)
		another := as.account().uid
		if as == asRoot {
			another = 65533
		}
		for _, want := range []struct {
			port      int
			cwd, rule string
			uid       int
		}{{81, dir, "", as.account().uid}, {82, "/", "", another}, {83, "/", "below-make", another}} {
			var found records
			for _, one := range end.records.of("connect", "192.0.2.1") {
				if one.Port == want.port {
					found = append(found, one)
				}
			}
			got := found.one(t, "a connect")
			if got.Process.Cwd != want.cwd || got.Process.UID != want.uid || got.Rule != want.rule {
				t.Errorf("port %d: by user %d in %s, rule %q; want %d, %s, %q",
					want.port, got.Process.UID, got.Process.Cwd, got.Rule, want.uid, want.cwd, want.rule)
			}
		}
	})
}
