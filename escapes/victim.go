package escapes

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prSetPtracer is PR_SET_PTRACER of prctl(2): with Yama a process of the same
// user may be traced by others only where it says so.
const (
	prSetPtracer    = 0x59616d61
	prSetPtracerAny = ^uintptr(0)
)

// Numbers of the descriptors that the victim is handed: a connection, and a
// file that holds its secret.
const (
	victimSocket = 3
	victimFile   = 4
)

// victimVariable is the variable in which it has its secret too.
const victimVariable = "BOUNDARY_VICTIM_SECRET"

// introduction is what the victim says when it is ready.
type introduction struct {
	Victim Victim
	Secret []byte
	State  state
}

// state is what others must not change of a process.
type state struct {
	Mark      uint64
	Signals   int64
	Limits    [unix.RLIMIT_RTTIME + 1]unix.Rlimit
	Nice      int
	Affinity  unix.CPUSet
	Scheduler int
	IOPrio    int
	Group     int
	// Files of proc(5): oom_score_adj, coredump_filter and timerslack_ns.
	OOM, Dump, Slack string
}

// victimMain is a process outside that minds its own business. It reads its
// secret as the first line, says its state for every other, and ends with its
// input.
func victimMain() {
	// An error says that there is no Yama: then everybody may.
	_ = unix.Prctl(prSetPtracer, prSetPtracerAny, 0, 0, 0)
	m, err := newMemory(4096)
	if err != nil {
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	if !lines.Scan() {
		return
	}
	m.put(0, lines.Bytes())
	m.word(SecretSize, 0)
	var signals atomic.Int64
	caught := make(chan os.Signal, 16)
	signal.Notify(caught, unix.SIGUSR1, unix.SIGUSR2, unix.SIGHUP, unix.SIGTERM, unix.SIGINT, unix.SIGCONT, unix.SIGWINCH, unix.SIGALRM)
	go func() {
		for range caught {
			signals.Add(1)
		}
	}()
	out := json.NewEncoder(os.Stdout)
	now := func() state { return readState(m, signals.Load()) }
	told := Victim{PID: os.Getpid(), SecretAt: uint64(m.at(0)), MarkAt: uint64(m.at(SecretSize)), Socket: victimSocket, File: victimFile}
	if out.Encode(introduction{Victim: told, State: now()}) != nil {
		return
	}
	for lines.Scan() {
		if out.Encode(now()) != nil {
			return
		}
	}
}

// readState reads the calling process's own.
func readState(m memory, signals int64) state {
	s := state{Mark: uint64(m[SecretSize]), Signals: signals, Group: unix.Getpgrp()}
	for i := range s.Limits {
		_ = unix.Getrlimit(i, &s.Limits[i]) // zero where there is none
	}
	s.Nice, _ = unix.Getpriority(unix.PRIO_PROCESS, os.Getpid()) // of the main thread, as the others
	_ = unix.SchedGetaffinity(os.Getpid(), &s.Affinity)
	scheduler, _ := call(unix.SYS_SCHED_GETSCHEDULER, uintptr(os.Getpid()))
	ioprio, _ := call(unix.SYS_IOPRIO_GET, 1, uintptr(os.Getpid()))
	s.Scheduler, s.IOPrio = int(scheduler), int(ioprio)
	s.OOM, s.Dump = ownFile("oom_score_adj"), ownFile("coredump_filter")
	s.Slack = ownFile("timerslack_ns")
	return s
}

func ownFile(name string) string {
	text, _ := os.ReadFile("/proc/self/" + name)
	return strings.TrimSpace(string(text))
}

// victim is a running victim, as the referee sees it.
type victim struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	answer chan []byte // its lines
	told   Victim
	secret []byte
	before state
}

// startVictim starts a victim inside, outside of every session.
func (r *Referee) startVictim() error {
	conn, err := r.dialOwn()
	if err != nil {
		return fmt.Errorf("connect for victim: %w", err)
	}
	defer conn.Close()
	secret := rand.Text()[:26] + "SECRET" // SecretSize bytes
	file, err := secretFile(secret)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(r.options.Self, stageVictim)
	cmd.ExtraFiles = []*os.File{conn, file}
	cmd.Env = append(os.Environ(), victimVariable+"="+secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.options.Credential, Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.options.Inside(cmd.Start); err != nil {
		return fmt.Errorf("start victim: %w", err)
	}
	v := &victim{cmd: cmd, in: in, answer: make(chan []byte, 1), secret: []byte(secret)}
	go v.read(out)
	if _, err := in.Write([]byte(secret + "\n")); err != nil {
		return fmt.Errorf("tell victim: %w", err)
	}
	line, err := v.line()
	if err != nil {
		return err
	}
	var intro introduction
	if err := json.Unmarshal(line, &intro); err != nil {
		return fmt.Errorf("read victim: %w", err)
	}
	v.told, v.before = intro.Victim, intro.State
	r.victim = v
	return nil
}

// secretFile is a file without a name that holds the secret, memfd_create(2).
func secretFile(secret string) (*os.File, error) {
	fd, err := unix.MemfdCreate("secret", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make file for victim: %w", err)
	}
	file := os.NewFile(uintptr(fd), "secret")
	if _, err := file.WriteString(secret); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// read passes the victim's lines on.
func (v *victim) read(out io.Reader) {
	defer close(v.answer)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		v.answer <- bytes.Clone(lines.Bytes())
	}
}

// line waits for the victim's next line.
func (v *victim) line() ([]byte, error) {
	select {
	case line, ok := <-v.answer:
		if !ok {
			return nil, fmt.Errorf("the victim has ended")
		}
		return line, nil
	case <-time.After(3 * time.Second):
		return nil, fmt.Errorf("the victim does not answer")
	}
}

// state asks the victim for its state.
func (v *victim) state() (state, error) {
	var s state
	if _, err := v.in.Write([]byte("?\n")); err != nil {
		return s, fmt.Errorf("the victim has ended")
	}
	line, err := v.line()
	if err != nil {
		return s, err
	}
	err = json.Unmarshal(line, &s)
	if s.Slack == "" || v.before.Slack == "" {
		// An ordinary user's thread may not read that of the main one.
		s.Slack = v.before.Slack
	}
	return s, err
}

// end ends the victim.
func (v *victim) end() error {
	_ = v.cmd.Process.Kill() // it may have ended
	_ = v.cmd.Wait()
	return nil
}

// judgeVictim notes what an attempt did to the victim. A signal takes its time
// on a busy machine: where something must come it is waited for.
func (r *Referee) judgeVictim(token string, said report, free bool) {
	v := r.victim
	if v == nil {
		return
	}
	if bytes.Contains(said.Found, v.secret) {
		r.note("victim", "its secret was read", []byte(token))
	}
	now, err := v.state()
	for limit := time.Now().Add(arrive); free && err == nil && now == v.before && time.Now().Before(limit); now, err = v.state() {
		if notes, _ := r.seen(token); len(notes) > 0 {
			break
		}
		time.Sleep(settle)
	}
	switch {
	case err != nil:
		r.note("victim", err.Error(), []byte(token))
	case now != v.before:
		r.note("victim", "changed: "+changes(v.before, now), []byte(token))
	}
	if err != nil || now != v.before {
		v.told.PID = 0 // the same done once more would change nothing
	}
}

// mendVictim starts another one where the last was lost or changed.
func (r *Referee) mendVictim() error {
	if r.victim == nil || r.victim.told.PID != 0 {
		return nil
	}
	if err := r.victim.end(); err != nil {
		return err
	}
	r.victim = nil
	return r.startVictim()
}
