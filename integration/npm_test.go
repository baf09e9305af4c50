package integration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// npmPackages returns the folder into which the packages of testdata/npm are
// installed. That takes half a minute and a gigabyte, so it is kept from one
// run of the tests to the next, until the list changes.
func (w *workshop) npmPackages(t testing.TB) string {
	t.Helper()
	npm, node := program(t, "npm"), program(t, "node")
	return w.file(t, "npm", func(path string) error {
		lock, err := os.ReadFile("testdata/npm/package-lock.json")
		if err != nil {
			return err
		}
		cache, err := cacheFolder()
		if err != nil {
			return err
		}
		folder := filepath.Join(cache, fmt.Sprintf("npm-%x", sha256.Sum256(lock))[:20])
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			if err := installNpm(npm, node, folder); err != nil {
				return err
			}
		}
		return os.Symlink(filepath.Join(folder, "node_modules"), path)
	})
}

// cacheFolder returns where downloads are kept. What root keeps, the ordinary
// user must be able to read.
func cacheFolder() (string, error) {
	cache := "/var/cache"
	if os.Getuid() != 0 {
		var err error
		if cache, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	cache = filepath.Join(cache, "boundary-integration")
	return cache, os.MkdirAll(cache, 0o755)
}

// installNpm installs the packages. The folder is there only when all of them
// are. Of their install scripts only those two are run that put the program in
// its place; the others would compile what no test uses.
func installNpm(npm, node, folder string) error {
	making, err := os.MkdirTemp(filepath.Dir(folder), "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(making)
	if err := os.CopyFS(making, os.DirFS("testdata/npm")); err != nil {
		return err
	}
	if err := tool(making, nil, npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	for _, script := range []string{"@anthropic-ai/claude-code/install.cjs", "opencode-ai/postinstall.mjs"} {
		script = filepath.Join("node_modules", script)
		if err := tool(filepath.Join(making, filepath.Dir(script)), nil, node, filepath.Base(script)); err != nil {
			return err
		}
	}
	if err := os.Chmod(making, 0o755); err != nil {
		return err
	}
	// Another run of the tests may have been faster.
	if err := os.Rename(making, folder); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
