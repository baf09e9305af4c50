package escapes

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bearing is what a process passes on to its children and boundary changes in
// none of its own.
type bearing struct {
	Limits    [unix.RLIMIT_RTTIME + 1]unix.Rlimit
	Nice      int
	Affinity  unix.CPUSet
	Scheduler int
	IOPrio    int
	OOM, Dump string
}

// bearingOf reads another process's. It is all there for anybody, or for the
// process's own user.
func bearingOf(pid int) (bearing, error) {
	var b bearing
	for i := range b.Limits {
		if err := unix.Prlimit(pid, i, nil, &b.Limits[i]); err != nil {
			return b, err
		}
	}
	// Go raises the soft limit of descriptors at start-up.
	b.Limits[unix.RLIMIT_NOFILE].Cur = 0
	var err error
	if b.Nice, err = unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil {
		return b, err
	}
	if err := unix.SchedGetaffinity(pid, &b.Affinity); err != nil {
		return b, err
	}
	scheduler, err := call(unix.SYS_SCHED_GETSCHEDULER, uintptr(pid))
	if err != nil {
		return b, err
	}
	ioprio, err := call(unix.SYS_IOPRIO_GET, 1, uintptr(pid))
	if err != nil {
		return b, err
	}
	b.Scheduler, b.IOPrio = int(scheduler), int(ioprio)
	for name, to := range map[string]*string{"oom_score_adj": &b.OOM, "coredump_filter": &b.Dump} {
		text, err := os.ReadFile(procFile(pid, name))
		if err != nil {
			return b, err
		}
		*to = strings.TrimSpace(string(text))
	}
	return b, nil
}

// watchEvery is how often the session is looked at.
const watchEvery = 10 * time.Millisecond

// watchSession notes what is done to the supervisor and the launcher while an
// attempt is made, until the returned function is called. pid is the
// supervisor's.
func (r *Referee) watchSession(g *Ground, pid int, free bool) (stop func()) {
	if free {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		w := sessionWatch{referee: r, token: g.Token, first: map[int]bearing{}}
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			w.look(pid)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// sessionWatch remembers how the session's processes first were.
type sessionWatch struct {
	referee  *Referee
	token    string
	first    map[int]bearing
	launcher int
	noted    bool
}

// look compares the supervisor, and its first child, which is the launcher,
// with what they were.
func (w *sessionWatch) look(supervisor int) {
	if w.launcher == 0 {
		if children := childrenOf(supervisor); len(children) > 0 {
			w.launcher = children[0]
		}
	}
	for name, pid := range map[string]int{"supervisor": supervisor, "launcher": w.launcher} {
		if pid == 0 || w.noted {
			continue
		}
		now, err := bearingOf(pid)
		if err != nil || now.Dump == "" {
			continue // it has ended: a dead process has no memory to dump
		}
		before, known := w.first[pid]
		if !known {
			w.first[pid] = now
		} else if now != before {
			w.noted = true
			w.referee.note("session", fmt.Sprintf("the %s changed: %s", name, changes(before, now)), []byte(w.token))
		}
	}
}

// changes tells which fields of two structures of one type differ.
func changes(before, now any) string {
	var list []string
	from, to := reflect.ValueOf(before), reflect.ValueOf(now)
	for i := range from.NumField() {
		if a, b := from.Field(i).Interface(), to.Field(i).Interface(); a != b {
			list = append(list, fmt.Sprintf("%s from %v to %v", from.Type().Field(i).Name, a, b))
		}
	}
	return strings.Join(list, ", ")
}
