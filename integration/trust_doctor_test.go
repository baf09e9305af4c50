package integration

import (
	"encoding/json"
	"testing"
)

// TestDoctorTellsTrust has doctor say which programs trust a session's
// certificates.
func TestDoctorTellsTrust(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		out, err := commandIn(t, as, dir, []string{shop.boundary(t), "doctor", "--json"}).Output()
		if err != nil {
			t.Fatalf("run doctor: %v", err)
		}
		var report struct {
			Trust []struct {
				Name, Covers, Why, Instead string
				On                         bool
			}
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("read report: %v", err)
		}
		want := map[string]bool{"variables": true, "cleared-environment": true, "chromium": true, "system-files": as == asRoot}
		for _, one := range report.Trust {
			on, ok := want[one.Name]
			if !ok || on != one.On || one.Covers == "" || !one.On && (one.Why == "" || one.Instead == "") {
				t.Errorf("doctor says %+v", one)
			}
			delete(want, one.Name)
		}
		if len(want) > 0 {
			t.Errorf("doctor says nothing of %v", want)
		}
	})
}
