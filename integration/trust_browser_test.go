package integration

import (
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// chromium returns a command line that prints a page as Chromium sees it. Its
// own sandbox needs namespaces that a container does not give.
func chromium(t testing.TB, address string) []string {
	return []string{
		program(t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--dump-dom", address,
	}
}

// TestChromiumTrusts has Chromium, which brings its own roots, show an allowed
// page and the text of a denial.
func TestChromiumTrusts(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"github\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: policy, command: chromium(t, "https://"+allowedHost+"/json")}.run(t)
		if !strings.Contains(end.stdout, marker) {
			t.Errorf("the page was not shown")
		}
		if len(end.records.requests(allowedHost).decided("allow")) == 0 {
			t.Errorf("no record of the request")
		}
		end = session{as: as, policy: policy, command: chromium(t, "https://"+deniedHost+"/")}.run(t)
		if !strings.Contains(end.stdout, blocked) {
			t.Errorf("the denial was not shown")
		}
		if len(end.records.requests(deniedHost).decided("deny")) == 0 {
			t.Errorf("no record of the denial")
		}
	})
	if seen := outside.Requests(deniedHost); len(seen) > 0 {
		t.Errorf("the origin saw %v", seen)
	}
}
