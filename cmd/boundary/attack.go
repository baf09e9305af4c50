package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"boundary/escapes"
	"boundary/supervisor"
)

// attack is `doctor --attack`.
type attack struct {
	out     io.Writer
	paint   func(code, text string) string
	json    bool
	raceFor time.Duration
	only    string // glob of the attempts' names
}

// run makes every attempt, and is an error where one was not held.
func (a *attack) run() error {
	report := supervisor.Examine()
	if !report.Holds {
		return &exitError{exitFailure, fmt.Errorf("no agent can be run here, so there is nothing to try: %s", report.Why)}
	}
	list, err := a.list()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "boundary-attack-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	referee, err := escapes.NewReferee(a.options(self, dir))
	if err != nil {
		return fmt.Errorf("open referee: %w", err)
	}
	defer referee.Close()
	start, err := behindBoundary(self, dir, referee.Policy())
	if err != nil {
		return err
	}
	counts, err := a.each(list, func(one escapes.Attempt) verdict { return a.attempt(referee, one, guardsOff(report), start) })
	if err != nil {
		return err
	}
	return a.sum(counts)
}

// each makes the attempts and prints what becomes of them.
func (a *attack) each(list []escapes.Attempt, try func(escapes.Attempt) verdict) (tally, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !a.json {
		fmt.Fprintf(a.out, "Trying %d ways out, each from inside a boundary of its own. This can take minutes.\n\n", len(list))
	}
	counts := tally{map[string]int{}, map[escapes.Need]int{}}
	for _, one := range list {
		v := try(one)
		if ctx.Err() != nil {
			return counts, &exitError{exitFailure, errors.New("interrupted: not every attempt was made")}
		}
		counts.add(v)
		if err := a.print(v); err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// behindBoundary returns how a command is run in a session of its own.
func behindBoundary(self, dir, policy string) (func(argv []string) *exec.Cmd, error) {
	file, log := filepath.Join(dir, "policy.hcl"), filepath.Join(dir, "audit.jsonl")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		return nil, err
	}
	return func(argv []string) *exec.Cmd {
		_ = os.Remove(log) // of the attempt before
		return exec.Command(self, append([]string{"exec", "--quiet", "-p", file, "--audit", log, "--"}, argv...)...)
	}, nil
}

// list returns the attempts to make.
func (a *attack) list() ([]escapes.Attempt, error) {
	var list []escapes.Attempt
	for _, one := range escapes.All() {
		match, err := path.Match(a.only, one.Name)
		if err != nil {
			return nil, fmt.Errorf("--only %s: %w", a.only, err)
		}
		if match && !one.Stalls { // those are no ways out, but to slow the session down
			list = append(list, one)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("--only %s: no attempt has such a name", a.only)
	}
	return list, nil
}

// options of a referee on loopback: what is not of the session there is as far
// outside as another machine.
func (a *attack) options(self, dir string) escapes.Options {
	here := escapes.Peer{V4: netip.MustParseAddr("127.0.0.1")}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		here.V6 = netip.IPv6Loopback()
	}
	gives := []escapes.Need{escapes.NeedUserns, escapes.NeedURing}
	if os.Geteuid() == 0 {
		gives = append(gives, escapes.NeedRoot)
	} else {
		gives = append(gives, escapes.NeedOrdinary)
	}
	if runtime.GOARCH == "amd64" {
		gives = append(gives, escapes.NeedAMD64)
	}
	return escapes.Options{Self: self, Dir: dir, Denied: here, Allowed: here, Gives: gives, RaceFor: a.raceFor}
}

// guardsOff are the names of the guards that this machine does not give.
func guardsOff(report supervisor.Report) []string {
	var off []string
	for _, g := range report.Guards {
		if !g.On {
			off = append(off, g.Name)
		}
	}
	return off
}

// attempt makes one attempt behind a boundary.
func (a *attack) attempt(r *escapes.Referee, one escapes.Attempt, off []string, start func([]string) *exec.Cmd) verdict {
	v := verdict{Attempt: one.Name, Does: one.Does, Result: "held"}
	if missing := one.Missing(r.Gives()); len(missing) > 0 {
		v.Result, v.Why, v.needs = "skipped", fmt.Sprintf("needs %s", missing[0]), missing[0]
		return v
	}
	out, err := r.Held(one, start)
	switch {
	case err != nil:
		v.Result, v.Why = "failed", err.Error()
	case len(out.Out) > 0 && one.Open != "":
		v.Result, v.Why = "open", one.Open
	case len(out.Out) > 0:
		v.Result, v.Why = "out", fmt.Sprintf("%s: %s", out.Out[0].Channel, out.Out[0].Detail)
		if len(one.Guards) > 0 && !slices.ContainsFunc(one.Guards, func(g string) bool { return !slices.Contains(off, g) }) {
			v.Why += "; what would hold it is off here: " + strings.Join(one.Guards, ", ")
		}
	case out.Stalled != "":
		v.Result, v.Why = "out", "others stood still: "+out.Stalled
	case out.Hung:
		v.Result, v.Why = "failed", "it did not end by itself"
	case out.Status != 0 && !one.Ends:
		// What was not made was not held.
		v.Result, v.Why = "failed", fmt.Sprintf("the session ended with status %d: %s", out.Status, strings.TrimSpace(out.Stderr))
	default:
		v.Why = out.Said
	}
	return v
}
