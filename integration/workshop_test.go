package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// workshop is a folder that the tests' ordinary user can read, and makes the
// programs in it when a test first asks for them.
type workshop struct {
	base string // 0755, below the system's folder for temporary files
	user *account

	mu   sync.Mutex
	made map[string]made // by file name, guarded by mu
}

// made is what came of making a file.
type made struct {
	path string
	err  error
}

// openWorkshop makes the folder and, for root, the user.
func openWorkshop() (*workshop, error) {
	base, err := os.MkdirTemp("", "boundary-integration-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		return nil, fmt.Errorf("open folder to others: %w", err)
	}
	user, err := ordinaryUser()
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(filepath.Join(base, "testdata"), os.DirFS("testdata")); err != nil {
		return nil, fmt.Errorf("copy testdata: %w", err)
	}
	return &workshop{base: base, user: user, made: map[string]made{}}, nil
}

// close removes the folder.
func (w *workshop) close() { os.RemoveAll(w.base) }

// testdata returns the path of a copy of a file in testdata that the user can
// read.
func (w *workshop) testdata(name string) string {
	return filepath.Join(w.base, "testdata", name)
}

// file returns the path of the named file, which build makes when it is asked
// for first. It fails the test where that did not work, now or before.
func (w *workshop) file(t testing.TB, name string, build func(path string) error) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	one, ok := w.made[name]
	if !ok {
		one.path = filepath.Join(w.base, name)
		one.err = build(one.path)
		w.made[name] = one
	}
	if one.err != nil {
		t.Fatalf("make %s: %v", name, one.err)
	}
	return one.path
}

// boundary returns the binary under test.
func (w *workshop) boundary(t testing.TB) string {
	t.Helper()
	return w.file(t, "boundary", func(path string) error {
		from := os.Getenv("BOUNDARY_BIN")
		if from == "" {
			from = filepath.Join("..", "bin", "boundary")
			if err := tool("..", nil, "make", "-s", "build"); err != nil {
				return err
			}
		}
		return copyProgram(from, path)
	})
}

// careless returns a boundary whose supervisor answers CONTINUE to all but the
// making of sockets.
func (w *workshop) careless(t testing.TB) string {
	t.Helper()
	return w.file(t, "careless", func(path string) error {
		return tool("..", []string{"CGO_ENABLED=1"}, "go", "build", "-trimpath", "-tags", "netgo,osusergo,continueall",
			"-ldflags", "-linkmode external -extldflags -static", "-o", path, "./cmd/boundary")
	})
}

// agent returns the static Go client.
func (w *workshop) agent(t testing.TB) string {
	t.Helper()
	return w.file(t, "agent", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=0"}, "go", "build", "-o", path, "./internal/agent")
	})
}

// grpcClient returns the Go client that makes gRPC calls.
func (w *workshop) grpcClient(t testing.TB) string {
	t.Helper()
	return w.file(t, "grpcget", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=0"}, "go", "build", "-o", path, "./internal/grpcget")
	})
}

// confine returns the program that runs another under a filter.
func (w *workshop) confine(t testing.TB) string {
	t.Helper()
	return w.file(t, "confine", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=1"}, "go", "build", "-o", path, "./internal/confine")
	})
}

// muslClient returns the C client, linked statically with musl.
func (w *workshop) muslClient(t testing.TB) string {
	t.Helper()
	compiler := program(t, "musl-gcc")
	return w.file(t, "client-musl", func(path string) error {
		return tool(".", nil, compiler, "-static", "-O2", "-o", path, "testdata/client.c")
	})
}

// glibcClient returns the C client, linked with glibc.
func (w *workshop) glibcClient(t testing.TB) string {
	t.Helper()
	compiler := program(t, "gcc")
	return w.file(t, "client-glibc", func(path string) error {
		return tool(".", nil, compiler, "-O2", "-o", path, "testdata/client.c")
	})
}

// javaClasses returns the folder with the compiled Java client.
func (w *workshop) javaClasses(t testing.TB) string {
	t.Helper()
	compiler := program(t, "javac")
	return w.file(t, "classes", func(path string) error {
		return tool(".", nil, compiler, "-d", path, "testdata/Client.java")
	})
}

// tool runs a program to its end and returns what it said where it failed.
func tool(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// copyProgram copies a file and makes the copy executable for all.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
