package integration

import (
	"strings"
	"testing"
	"time"
)

// TestDemo runs the demo, which checks its own story, and looks at what a
// newcomer would see.
func TestDemo(t *testing.T) {
	demo := shop.file(t, "demo", func(path string) error {
		return tool(".", nil, "go", "build", "-o", path, "./demo")
	})
	for _, color := range []string{"never", "always"} {
		t.Run("color="+color, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				// On a busy machine, the fastest of some counts.
				took := showDemo(t, as, demo, color)
				for tries := 1; took > time.Second && tries < 5; tries++ {
					took = min(took, showDemo(t, as, demo, color))
				}
				if took > time.Second {
					t.Errorf("the demo took %v, want less than a second", took)
				}
			})
		})
	}
}

// showDemo runs it once, and returns how long it took.
func showDemo(t *testing.T, as mode, demo, color string) time.Duration {
	t.Helper()
	cmd := commandIn(t, as, as.dir(t), []string{demo, "-boundary", shop.boundary(t), "-color", color})
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		t.Fatalf("run demo: %v\n%s", err, out)
	}
	for _, part := range []string{"api.github.com", "attacker-logger.com saw 0 requests", blocked, "allow", "deny"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the demo does not show %q:\n%s", part, out)
		}
	}
	if colored := strings.Contains(string(out), "\x1b["); colored != (color == "always") {
		t.Errorf("the demo's output has colours: %t", colored)
	}
	return took
}
