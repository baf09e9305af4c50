package escapes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A step is the part of an attempt that must be done by another process: in
// namespaces of its own, as a tracee, by a program that can't be read.
func scenes() map[string]func(*Ground) error {
	return map[string]func(*Ground) error{
		"bind-mount":           bindMountStep,
		"bind-mount-relative":  bindMountRelativeStep,
		"bind-mount-held":      bindMountHeldStep,
		"bind-mount-directory": bindMountDirectoryStep,
		"mount-over-symlink":   mountOverSymlinkStep,
		"pivot-root":           pivotRootStep,
		"chroot":               chrootStep,
		"root-descriptor":      rootDescriptorStep,
		"bind":                 bindStep,
		"connect":              func(g *Ground) error { return connectAndWrite(g, g.Denied.AddrPort4()) },
		"write-inherited":      func(g *Ground) error { return writeInherited(g, "connected") },
		"tracee":               traceeStep,
		"tracee-filtered":      filteredTraceeStep,
		"tracee-socket":        socketTraceeStep,
		"tracee-loop":          loopTraceeStep,
	}
}

// file is where the ground is told.
func (g *Ground) file() string { return filepath.Join(g.Dir, groundFile) }

// sceneFor is how long a step may take, beyond Ground.RaceFor.
const sceneFor = 3 * time.Second

// stepMain makes one step. What it says on standard error is why it failed.
func stepMain(name, ground string) {
	g, err := readGround(ground)
	if err == nil {
		if do, ok := scenes()[name]; ok {
			err = do(g)
		} else {
			err = fmt.Errorf("there is no step %q", name)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// step has a step made, and waits for its end.
func (g *Ground) scene(name string, attr *syscall.SysProcAttr) error {
	return g.stepBy("/proc/self/exe", name, attr)
}

// stepBy is step with another file of this program.
func (g *Ground) stepBy(program, name string, attr *syscall.SysProcAttr) error {
	ctx, cancel := context.WithTimeout(context.Background(), sceneFor+g.RaceFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, stageStep, name, g.file())
	cmd.SysProcAttr, cmd.WaitDelay = attr, time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("step %s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// helper is a step that runs beside the attempt. It says one line when it is
// ready, and ends with its standard input.
type helper struct {
	cmd  *exec.Cmd
	line string
	// release lets it go on; end waits for its end too, and so must not be
	// called while it is traced: a wait takes the tracer's stops.
	release, end func()
}

// startHelper starts a step with files, and waits until it is ready.
func (g *Ground) startHelper(name string, attr *syscall.SysProcAttr, files ...*os.File) (*helper, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sceneFor+g.RaceFor)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", stageStep, name, g.file())
	cmd.SysProcAttr, cmd.WaitDelay, cmd.ExtraFiles = attr, time.Second, files
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start step %s: %w", name, err)
	}
	h := &helper{cmd: cmd, release: func() { in.Close() }, end: sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait() // what it did is seen outside
		cancel()
	})}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		h.end()
		return nil, fmt.Errorf("step %s: %w: %s", name, errors.New("not ready"), strings.TrimSpace(said.String()))
	}
	h.line = lines.Text()
	return h, nil
}

// firstInherited is the number of the first file that a helper is given.
const firstInherited = 3

// sayReady is what a helper calls: it says a line and waits for the attempt.
func sayReady(line string) {
	fmt.Println(line)
	// The end of the input is what is waited for.
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// ownNamespaces is a process that is root in a user namespace of its own, and
// has mounts of its own.
func ownNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}
