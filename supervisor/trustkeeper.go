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
	trust   *tlsproxy.Trust
	browser string // an argument for Chromium
	slots   chan struct{}
}

// maxFollowed bounds the execs that are followed at a time: each takes a
// thread, and one that reads its program from a file system that does not
// answer takes it for long.
const maxFollowed = 32

// slotPatience is how long another waits for one of those to end.
const slotPatience = time.Second

func newTrustKeeper(trust *tlsproxy.Trust, browser string) *trustKeeper {
	return &trustKeeper{trust: trust, browser: browser, slots: make(chan struct{}, maxFollowed)}
}

// lacking says whether it is worth a look what becomes of an environment. One
// that can't be read is not: such a program can't be completed either.
func (k *trustKeeper) lacking(tid int, envp uint64) bool {
	prefixes, err := envPrefixes(tid, envp)
	if err != nil {
		return false
	}
	add, _ := k.trust.Complete(texts(prefixes))
	for _, kv := range add {
		// Of a long value only the beginning is known: it may be the session's
		// own, unchanged.
		if !slices.ContainsFunc(k.trust.Env, func(own string) bool {
			return len(own) > prefixSize && strings.HasPrefix(kv, own[:prefixSize]+" ")
		}) {
			return true
		}
	}
	return false
}

func texts(list [][]byte) []string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = string(text)
	}
	return out
}

// follow attaches to the caller of an exec, and completes the environment of
// what it becomes once answered is closed. It returns when it is attached, or
// can't be: the caller is being traced, the exec is not by its process's first
// thread (whose number it would take over), or no tracing is allowed here. valid
// says whether the caller still waits, so that its number is not another's.
func (k *trustKeeper) follow(tid int, valid func() bool, answered <-chan struct{}) {
	select {
	case k.slots <- struct{}{}:
	case <-time.After(slotPatience):
		return
	}
	attached := make(chan struct{})
	go func() {
		defer func() { <-k.slots }()
		runtime.LockOSThread() // ptrace(2) goes by thread
		defer runtime.UnlockOSThread()
		t, err := attach(tid)
		complete := k.complete
		if !valid() {
			complete = leave
		}
		close(attached)
		if err != nil {
			return
		}
		<-answered
		t.finish(complete)
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
	addArgs := k.arguments(t, argv)
	addEnv, instead := k.trust.Complete(texts(env))
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
	if instead >= 0 {
		frame.envp = slices.Delete(frame.envp, instead, instead+1)
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
