// Command confine runs a program under a seccomp filter that a machine may
// have and the one that runs the tests has not:
//
//	confine PROFILE COMMAND [ARG…]
//
// PROFILE is `docker` (what Docker gives a container whose user is not root),
// `docker-root` (what it gives root, with root's capabilities there),
// `no-notify` (a kernel older than 5.0, without user notification),
// `no-seccomp` (a kernel built without seccomp), `no-landlock`, `no-getfd`
// (before 5.6, without pidfd_getfd), `empty` (a filter that allows everything,
// for what any filter costs) or `no-killable` (before 5.19, where a
// signal makes a trapped call run twice).
//
// It sets no_new_privs, installs the filter and executes COMMAND in its own
// place, so the process keeps its number.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "confine: %v\n", err)
		os.Exit(125)
	}
}

// run returns only where the command could not be started.
func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: confine PROFILE COMMAND [ARG…]")
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return fmt.Errorf("find command: %w", err)
	}
	filter, err := profile(args[0])
	if err != nil {
		return err
	}
	if err := filter.Load(); err != nil {
		return fmt.Errorf("install filter: %w", err)
	}
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, args[1:], os.Environ()))
}

// profile returns the filter of that name.
func profile(name string) (*libseccomp.ScmpFilter, error) {
	switch name {
	case "docker":
		return docker(nil)
	case "docker-root":
		return dockerRoot()
	case "no-notify":
		return noNotify()
	case "no-seccomp":
		return noSeccomp()
	case "no-landlock":
		return withoutCalls("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
	case "empty":
		return withoutCalls()
	case "no-getfd":
		return withoutCalls("pidfd_getfd")
	case "no-killable":
		return noKillable()
	}
	return nil, fmt.Errorf("no profile is named %q", name)
}
