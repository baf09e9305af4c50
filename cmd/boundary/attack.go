package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
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
}

// verdict is what became of one attempt, as --json prints it.
type verdict struct {
	Attempt string `json:"attempt"`
	Does    string `json:"does"`
	// Result is "held", "out", "open" (known to get out), "skipped" (something that it needs is not
	// here) or "failed" (it did not end by itself).
	Result string `json:"result"`
	// Why says what got out, what is missing, or what the attempt met with.
	Why string `json:"why,omitempty"`
}

// run makes every attempt, and is an error where one was not held.
func (a *attack) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
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
	policy := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(policy, []byte(referee.Policy()), 0o600); err != nil {
		return err
	}
	off := guardsOff()
	counts := map[string]int{}
	for _, one := range escapes.All() {
		if ctx.Err() != nil {
			return &exitError{exitFailure, errors.New("interrupted: not every attempt was made")}
		}
		if one.Stalls {
			continue // no way out, but a way to slow the session down
		}
		v := a.attempt(referee, one, off, func(argv []string) *exec.Cmd {
			log := filepath.Join(dir, "audit.jsonl")
			_ = os.Remove(log) // of the attempt before
			return exec.Command(self, append([]string{"exec", "--quiet", "-p", policy, "--audit", log, "--"}, argv...)...)
		})
		counts[v.Result]++
		if err := a.print(v); err != nil {
			return err
		}
	}
	return a.sum(counts)
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
func guardsOff() []string {
	var off []string
	for _, g := range supervisor.Examine().Guards {
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
		v.Result, v.Why = "skipped", fmt.Sprintf("needs %s", missing[0])
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
			v.Why = "this machine lacks " + strings.Join(one.Guards, ", ")
		}
	case out.Stalled != "":
		v.Result, v.Why = "out", "others stood still: "+out.Stalled
	case out.Hung:
		v.Result, v.Why = "failed", "it did not end by itself"
	default:
		v.Why = out.Said
	}
	return v
}

func (a *attack) print(v verdict) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(v)
	}
	const green, yellow, red, faint = "32", "33", "31", "2"
	color := map[string]string{"held": green, "skipped": yellow, "open": yellow, "out": red, "failed": red}[v.Result]
	line := fmt.Sprintf("%s %-36s %s", a.paint(color, fmt.Sprintf("%-8s", v.Result)), v.Attempt, v.Does)
	if v.Why != "" && v.Result != "held" {
		line += a.paint(faint, " ("+v.Why+")")
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}

// sum says how many there were of each.
func (a *attack) sum(counts map[string]int) error {
	bad := counts["out"] + counts["failed"]
	if !a.json {
		fmt.Fprintf(a.out, "\n%d held, %d not held, %d known to be open, %d failed, %d skipped\n",
			counts["held"], counts["out"], counts["open"], counts["failed"], counts["skipped"])
	}
	if bad > 0 {
		return &exitError{status: exitFailure}
	}
	return nil
}
