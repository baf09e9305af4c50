package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"boundary/tlsproxy"
)

// trustKeeper puts the trust variables back where a program was started
// without them.
type trustKeeper struct {
	env     []string // "NAME=value"
	browser string   // an argument for Chromium
	slots   chan struct{}
}

// maxFollowed bounds the execs that are followed at a time: each takes a
// thread, and one that reads its program from a file system that does not
// answer takes it for long.
const maxFollowed = 32

// slotPatience is how long another waits for one of those to end.
const slotPatience = time.Second

func newTrustKeeper(env []string, browser string) *trustKeeper {
	return &trustKeeper{env: env, browser: browser, slots: make(chan struct{}, maxFollowed)}
}

// lacking says whether an environment lacks a variable. One that can't be read
// does not: such a program can't be completed either.
func (k *trustKeeper) lacking(tid int, envp uint64) bool {
	names, err := envNames(tid, envp)
	return err == nil && len(k.missing(names)) > 0
}

// missing are the variables that an environment does not set at all. One that
// was set to something else was set on purpose.
func (k *trustKeeper) missing(env [][]byte) []string {
	set := make(map[string]bool, len(env))
	for _, kv := range env {
		name, _, _ := bytes.Cut(kv, []byte("="))
		set[string(name)] = true
	}
	var out []string
	for _, kv := range k.env {
		if name, _, _ := strings.Cut(kv, "="); !set[name] {
			out = append(out, kv)
		}
	}
	return out
}

// follow attaches to the caller of an exec, and completes the environment of
// what it becomes once answered is closed. It returns when it is attached, or
// can't be: the caller is being traced, the exec is not by its process's first
// thread (whose number it would take over), or no tracing is allowed here.
func (k *trustKeeper) follow(tid int, answered <-chan struct{}) {
	select {
	case k.slots <- struct{}{}:
	case <-time.After(slotPatience):
		return
	}
	attached := make(chan struct{})
	go func() {
		defer func() { <-k.slots }()
		// ptrace(2) goes by thread. This one is not given back: with it the
		// kernel ends what tracing may be left.
		runtime.LockOSThread()
		t, err := attach(tid)
		close(attached)
		if err != nil {
			return
		}
		<-answered
		t.finish(k.complete)
	}()
	<-attached
}

// complete puts what is missing into the environment and the arguments of a
// program that has not begun to run.
func (k *trustKeeper) complete(t tracee) error {
	env, err := t.strings("environ")
	if err != nil {
		return err
	}
	argv, err := t.strings("cmdline")
	if err != nil {
		return err
	}
	addEnv, addArgs := k.missing(env), k.arguments(t, argv)
	if len(addEnv)+len(addArgs) == 0 {
		return nil
	}
	sp, err := t.stackPointer()
	if err != nil {
		return err
	}
	frame, err := readFrame(int(t), sp)
	if err != nil {
		return err
	}
	if len(frame.envp) != len(env) || len(frame.argv) != len(argv) {
		return unix.EINVAL // not a stack as execve(2) leaves it
	}
	lower, image := frame.with(sp, addArgs, addEnv)
	if err := t.write(lower, image); err != nil {
		return err
	}
	return t.setStackPointer(lower)
}

// arguments are those to add: a Chromium that is not one of its own helper
// processes gets one.
func (k *trustKeeper) arguments(t tracee, argv [][]byte) []string {
	exe, err := os.Readlink(t.file("exe"))
	if err != nil || !tlsproxy.IsBrowser(filepath.Base(exe)) {
		return nil
	}
	if slices.ContainsFunc(argv, func(arg []byte) bool { return bytes.HasPrefix(arg, []byte("--type=")) }) {
		return nil
	}
	return []string{k.browser}
}
