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
			eachMode(t, func(t *testing.T, as mode) { showDemo(t, as, demo, color) })
		})
	}
}

// showDemo runs it once.
func showDemo(t *testing.T, as mode, demo, color string) {
	t.Helper()
	cmd := commandIn(t, as, as.dir(t), []string{demo, "-boundary", shop.boundary(t), "-color", color})
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		t.Fatalf("run demo: %v\n%s", err, out)
	}
	if took > time.Second {
		t.Errorf("the demo took %v, want less than a second", took)
	}
	for _, part := range []string{"api.github.com", "attacker-logger.com saw 0 requests", blocked, "allow", "deny"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the demo does not show %q:\n%s", part, out)
		}
	}
	if colored := strings.Contains(string(out), "\x1b["); colored != (color == "always") {
		t.Errorf("the demo's output has colours: %t", colored)
	}
}
