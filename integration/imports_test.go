package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the map of packages true: imports point one way, cmd to
// supervisor to the four below, and those four do not know each other. The
// tests here import none of them, so that they see only the binary, but for the
// escapes, which know nothing of it.
func TestImports(t *testing.T) {
	const module = "boundary/"
	allowed := map[string][]string{
		"audit":       {"audit"},
		"cmd":         {"audit", "cmd", "escapes", "policies", "seccomp", "supervisor", "tlsproxy"},
		"escapes":     {"escapes"},
		"integration": {"escapes", "integration"},
		"policies":    {"policies"},
		"seccomp":     {"seccomp"},
		"supervisor":  {"audit", "policies", "seccomp", "supervisor", "tlsproxy"},
		"tlsproxy":    {"tlsproxy"},
	}
	list := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	seen := map[string]bool{}
	for packages := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := packages.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read list of packages: %v", err)
		}
		folder := topFolder(one.ImportPath, module)
		seen[folder] = true
		for _, path := range slices.Concat(one.Imports, one.TestImports, one.XTestImports) {
			if !strings.HasPrefix(path, module) {
				continue
			}
			if !slices.Contains(allowed[folder], topFolder(path, module)) {
				t.Errorf("%s imports %s", one.ImportPath, path)
			}
		}
	}
	for folder := range allowed {
		if !seen[folder] {
			t.Errorf("there is no package in %s", folder)
		}
	}
}

// topFolder returns the first folder of a package's path in the module.
func topFolder(path, module string) string {
	folder, _, _ := strings.Cut(strings.TrimPrefix(path, module), "/")
	return folder
}
