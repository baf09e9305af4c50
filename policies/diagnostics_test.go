package policies

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

// updateGolden makes the tests write the golden files that they compare with.
var updateGolden = flag.Bool("update", false, "write the golden files")

// testOptions is an environment with a secret, and two guards.
func testOptions() Options {
	return Options{
		Env: func(name string) (string, bool) {
			value, ok := map[string]string{"SECRET": "Hunter2 is my secret", "HOST": "env.example"}[name]
			return value, ok
		},
		Guards: []string{"landlock-net", "landlock-scope"},
	}
}

// TestInvalid compares, for each file, the lines of the errors with its marks,
// and the whole text with its golden file.
func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("list test files: %v, %d found", err, len(files))
	}
	files = append(files, "testdata/invalid/json.json")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			policy, diags := Load(testOptions(), file)
			if policy != nil || !diags.HasErrors() {
				t.Fatalf("load: got a policy: %v", policy)
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, ".hcl") {
				if diff := cmp.Diff(marks(src), errorLines(diags)); diff != "" {
					t.Errorf("errors by line (-want +got):\n%s", diff)
				}
			}
			var text bytes.Buffer
			if err := diags.Render(&text, false, 78); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", text.String())
			for _, secret := range []string{"Hunter2", "hunter2"} {
				if strings.Contains(text.String()+diags.Error(), secret) {
					t.Errorf("diagnostics show a value of the environment")
				}
			}
		})
	}
}

// marks returns "line: summary" for each mark of a file.
func marks(src []byte) []string {
	var marks []string
	for i, line := range strings.Split(string(src), "\n") {
		_, mark, ok := strings.Cut(line, "# ERROR: ")
		if !ok {
			continue
		}
		for summary := range strings.SplitSeq(mark, ", ") {
			marks = append(marks, fmt.Sprintf("%d: %s", i+1, summary))
		}
	}
	slices.Sort(marks)
	return marks
}

func errorLines(diags *Diagnostics) []string {
	var lines []string
	for _, d := range diags.list {
		if d.Severity == hcl.DiagError {
			lines = append(lines, fmt.Sprintf("%d: %s", d.Subject.Start.Line, d.Summary))
		}
	}
	slices.Sort(lines)
	return lines
}

func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
