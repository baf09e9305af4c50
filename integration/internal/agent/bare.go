package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// bare runs a program with an empty environment, as tools do that build a
// child's environment by hand.
func bare(args []string) error {
	command := exec.Command(args[0], args[1:]...)
	command.Env = []string{}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

// bareMany runs as many programs with an empty environment from as many
// threads, and counts what they print.
func bareMany(args []string) error {
	const each = 20
	seen := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 2 * each {
		all.Go(func() {
			for range each {
				command := exec.Command(args[0], args[1:]...)
				command.Env = []string{}
				out, err := command.CombinedOutput()
				mu.Lock()
				seen[strings.TrimSpace(string(out))+" "+errnoName(err)]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for what, times := range seen {
		fmt.Println(times, what)
	}
	return nil
}

// traced starts a program with an empty environment under ptrace, as a
// debugger does, and says how its exec was reported.
func traced(args []string) error {
	runtime.LockOSThread() // ptrace(2) goes by thread
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env: []string{}, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	if !status.Stopped() {
		return errors.New("the program did not stop at its exec")
	}
	fmt.Println("stopped by", status.StopSignal())
	if err := syscall.PtraceCont(pid, 0); err != nil {
		return err
	}
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	fmt.Println("ended with", status.ExitStatus())
	return nil
}
