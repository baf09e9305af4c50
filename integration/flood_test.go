package integration

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"boundary/integration/internal/origin"
)

const (
	floodProcesses = 64
	floodRequests  = 157 // of each process: 10,048 together
)

// TestFlood makes 10,000 connections from 64 processes. Each asks for a path
// that says who asks and where; the log must say the same. Afterwards the
// supervisor holds no more descriptors than before, and hardly more memory.
func TestFlood(t *testing.T) {
	outside := startOrigin(t, origin.Options{IdleTimeout: time.Second})
	var hosts []string
	for i := range 16 {
		hosts = append(hosts, fmt.Sprintf("h%d.flood.test", i))
	}
	policy := "allow \"flood\" {\n  hosts = [\"*.flood.test\"]\n}\n" + outside.Upstream(caFile(t, outside), hosts...)
	eachMode(t, func(t *testing.T, as mode) {
		// The first, small flood warms caches and pools up.
		script := fmt.Sprintf(`"$0" flood 8 20 "$@" < /dev/null; read line; exec "$0" flood %d %d "$@"`, floodProcesses, floodRequests)
		stdin, feed := io.Pipe()
		defer feed.Close()
		r := session{
			as: as, policy: policy, stdin: stdin,
			command: append([]string{"sh", "-c", script, shop.agent(t)}, hosts...),
		}.start(t)
		warm := r.stdout.await(t, 0, "done\n")
		before := usageOf(t, r.pid(), true)
		if _, err := io.WriteString(feed, "go on\n"); err != nil {
			t.Fatalf("let the flood begin: %v", err)
		}
		r.stdout.awaitWithin(t, longest, warm, "done\n")
		eventually(t, patience, func() error { return usageOf(t, r.pid(), false).near(before) })
		feed.Close()
		end := r.wait()
		if end.status != 0 {
			t.Errorf("the flood ended with %d", end.status)
		}
		checkFlood(t, end.records.requests(""))
	})
}

// checkFlood checks each record against the path that was asked for.
func checkFlood(t *testing.T, requests records) {
	t.Helper()
	if want := 8*20 + floodProcesses*floodRequests; len(requests) != want {
		t.Errorf("the log has %d requests, want %d", len(requests), want)
	}
	asked := map[string]bool{}
	wrong := 0
	for _, one := range requests {
		parts := strings.Split(one.Path, "/")
		if len(parts) != 4 || one.Process == nil || strconv.Itoa(one.Process.PID) != parts[1] || one.Host != parts[3] || one.Decision != "allow" {
			if wrong++; wrong <= 5 {
				t.Errorf("the record is of another request: %s", one.line)
			}
			continue
		}
		if asked[one.Path] {
			t.Errorf("the request for %s is recorded twice", one.Path)
		}
		asked[one.Path] = true
	}
	if wrong > 0 {
		t.Errorf("%d records are of another request", wrong)
	}
}

// usage is what a process holds.
type usage struct {
	descriptors int    // -1 where only root could count them
	kinds       string // how many of each kind
	memory      int    // resident, KiB
}

// near reports an error while there is more in use than before a load, apart
// from what a garbage-collected heap keeps.
func (u usage) near(before usage) error {
	const moreDescriptors, moreMemory = 4, 32 << 10
	if u.descriptors > before.descriptors+moreDescriptors {
		return fmt.Errorf("%d descriptors are open, %d before:\n%s\nbefore:\n%s", u.descriptors, before.descriptors, u.kinds, before.kinds)
	}
	if u.memory > before.memory+moreMemory {
		return fmt.Errorf("%d KiB are resident, %d before", u.memory, before.memory)
	}
	return nil
}

// usageOf reads what a process holds; settled waits until the count of its
// descriptors has been the same for a while.
func usageOf(t *testing.T, pid int, settled bool) usage {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatalf("read status of boundary: %v", err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("the status of boundary has no VmRSS:\n%s", text)
	}
	memory, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatalf("read memory of boundary: %v", err)
	}
	now := usage{descriptors: -1, memory: memory}
	if os.Getuid() != 0 {
		return now // the supervisor is not dumpable, so only root may look
	}
	now.count(t, pid)
	if !settled {
		return now
	}
	// Pooled connections go when the origin closes them, after a second.
	since := time.Now()
	eventually(t, patience, func() error {
		last := now.descriptors
		if now.count(t, pid); now.descriptors != last {
			since = time.Now()
		}
		if quiet := time.Since(since); quiet < 1500*time.Millisecond {
			return fmt.Errorf("the descriptors have been %d for only %v", now.descriptors, quiet)
		}
		return nil
	})
	return now
}

// count counts the descriptors of a process.
func (u *usage) count(t *testing.T, pid int) {
	t.Helper()
	kinds := map[string]int{}
	open := descriptorsOf(t, pid)
	for _, target := range open {
		kind, _, _ := strings.Cut(target, ":[") // a socket's or a pipe's inode
		kinds[kind]++
	}
	u.descriptors, u.kinds = len(open), fmt.Sprint(kinds)
}
