package escapes

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Outcome is what became of an attempt.
type Outcome struct {
	// Out is what got out: nothing where the attempt was held.
	Out []Note
	// Said is what the attempt says of itself.
	Said string
	// Stalled is how the attempt held up other processes of its session.
	Stalled string
	// Status is the command's exit status as Go has it; -1 for a signal.
	Status int
	// Hung tells that the attempt had to be ended.
	Hung bool
	// Stderr is what the command wrote there.
	Stderr string
}

const (
	// settle is how long the referee waits for what is under way when an
	// attempt has ended.
	settle = 30 * time.Millisecond
	// arrive is how long it waits where something must come.
	arrive = 3 * time.Second
	// longest is how long an attempt may take beyond Ground.RaceFor.
	longest = 20 * time.Second
)

// Held makes an attempt that should be held: start gets the command line of
// the attempt's process and returns the command that runs it behind a boundary.
// The command gets its standard streams and descriptors here.
func (r *Referee) Held(a Attempt, start func(argv []string) *exec.Cmd) (Outcome, error) {
	return r.run(a, start, false)
}

// Free makes an attempt that nothing holds, until something of it has got out
// or it has ended.
func (r *Referee) Free(a Attempt, start func(argv []string) *exec.Cmd) (Outcome, error) {
	return r.run(a, start, true)
}

func (r *Referee) run(a Attempt, start func(argv []string) *exec.Cmd, free bool) (Outcome, error) {
	var out Outcome
	g, file, err := r.begin(a)
	if err != nil {
		return out, err
	}
	var stdout, stderr bytes.Buffer
	cmd := start([]string{r.options.Self, stageAttempt, a.Name, file})
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &stdout, &stderr, r.files
	cmd.WaitDelay = time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	before := r.hostState()
	r.machine.Store(onMachine(a))
	defer r.takeOrders()()
	if err := r.options.Inside(cmd.Start); err != nil {
		return out, fmt.Errorf("start %s: %w", a.Name, err)
	}
	stopCaller := r.call(g)
	stopWatch := r.watchSession(g, cmd.Process.Pid, free)
	out.Hung = r.await(cmd, g, free, graceFor(a))
	stopWatch()
	stopCaller()
	r.judgeHost(g, before)
	out.Status, out.Stderr = cmd.ProcessState.ExitCode(), stderr.String()
	var said report
	if err := json.Unmarshal(stdout.Bytes(), &said); err == nil {
		out.Said, out.Stalled = said.Error, said.Stalled
	}
	r.judgeVictim(g.Token, said, free)
	if free {
		r.waitFor(g.Token, arrive)
		r.calm()
	} else {
		time.Sleep(settle)
	}
	out.Out, _ = r.seen(g.Token)
	err = r.mendVictim()
	clearGroup(g.Token)
	return out, err
}

// begin makes a token and tells the attempt's ground.
func (r *Referee) begin(a Attempt) (*Ground, string, error) {
	raw := make([]byte, 8)
	rand.Read(raw) // never fails, crypto/rand
	g := r.ground
	g.Token = "escape-" + hex.EncodeToString(raw)
	if r.victim != nil {
		g.Victim = r.victim.told
	}
	r.mu.Lock()
	r.token = g.Token
	r.mu.Unlock()
	file := g.file()
	if err := os.Remove(r.listensFile()); err != nil && !os.IsNotExist(err) {
		return nil, "", err
	}
	if err := r.openTerminal(&g); err != nil {
		return nil, "", err
	}
	return &g, file, g.write(file)
}

// await waits for the end of the command, and makes it where it is overdue or,
// for a free attempt, where it has got out.
func (r *Referee) await(cmd *exec.Cmd, g *Ground, free bool, patience time.Duration) (hung bool) {
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its status is in ProcessState
		close(ended)
	}()
	limit := time.After(longest + g.RaceFor)
	for {
		notes, changed := r.seen(g.Token)
		if !free || len(notes) > 0 {
			changed = nil
		}
		var grace <-chan time.Time
		if free && len(notes) > 0 {
			grace = time.After(patience)
		}
		select {
		case <-ended:
			return false
		case <-changed:
		case <-grace:
			killGroup(cmd)
			<-ended
			return false
		case <-limit:
			killGroup(cmd)
			<-ended
			return true
		}
	}
}

// graceFor is how long an attempt may go on that has got out. A race would only
// do the same again, thousands of times.
func graceFor(a Attempt) time.Duration {
	if a.Long {
		return settle
	}
	return time.Second
}

// calm waits until what an attempt has set off has arrived: a connection that
// is accepted later would be laid to the next attempt.
func (r *Referee) calm() {
	for limit, before := time.Now().Add(arrive), -1; time.Now().Before(limit); time.Sleep(settle) {
		r.mu.Lock()
		now := r.heard
		r.mu.Unlock()
		if now == before {
			return
		}
		before = now
	}
}

// killGroup ends a command with the processes of its group.
func killGroup(cmd *exec.Cmd) {
	// It may have ended meanwhile.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// waitFor waits until something is noted for a token.
func (r *Referee) waitFor(token string, most time.Duration) {
	limit := time.After(most)
	for {
		notes, changed := r.seen(token)
		if len(notes) > 0 {
			return
		}
		select {
		case <-changed:
		case <-limit:
			return
		}
	}
}
