package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// descriptors prints what was open when the program began: the number and
// what it is, without what the Go runtime opens for itself (epoll, eventfd,
// the limits of its control group).
func descriptors([]string) error {
	for fd := range 1024 {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !strings.HasPrefix(target, "anon_inode:[event") && !strings.HasPrefix(target, "/sys/fs/cgroup/") {
			fmt.Println(fd, target)
		}
	}
	return nil
}

// orphans starts n processes that end after their parent has, and waits until
// none of them is left, not even as a zombie. It fails after five seconds.
func orphans(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var pids []string
	for range n {
		out, err := exec.Command("/bin/sh", "-c", "(exit 3) >/dev/null & echo $!").Output()
		if err != nil {
			return err
		}
		pids = append(pids, string(bytes.TrimSpace(out)))
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		left := 0
		for _, pid := range pids {
			if _, err := os.Stat("/proc/" + pid); err == nil {
				left++
			}
		}
		if left == 0 {
			fmt.Println("reaped", n)
			return nil
		}
	}
	return fmt.Errorf("orphans %v are still there", pids)
}

// getppid calls getppid(2) n times and prints the nanoseconds of one call, in
// the best of five runs: what disturbs a run only makes it longer.
func getppid(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	best := time.Duration(1<<63 - 1)
	for range 5 {
		began := time.Now()
		for range n {
			// The call can't fail, getppid(2).
			_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		best = min(best, time.Since(began))
	}
	fmt.Printf("%.2f\n", float64(best.Nanoseconds())/float64(n))
	return nil
}
