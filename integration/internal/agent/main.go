// Command agent stands for a program that an AI agent runs: a static Go
// binary (built with CGO_ENABLED=0, so with Go's own resolver and no C
// library) that does one thing and prints what came of it.
//
//	agent get [-X METHOD] [-d FILE] URL        status and body of a request
//	agent resolve NAME                         addresses, one a line
//	agent dial NETWORK ADDRESS                 errno of a connect, and how long it took
//	agent udp ADDRESS                          errno of a connected and of an unconnected send
//	agent sockets                              errno of each kind of socket that is not for agents
//	agent sockname ADDRESS                     local address and inode of a connection; waits for stdin
//	agent flood PROCESSES REQUESTS HOST…       requests from many processes; waits for stdin
//	agent attempts FILE URL                    one request after another until killed
//	agent descriptors                          open descriptors, one a line
//	agent orphans N                            leaves N orphans and waits until they are reaped
//	agent getppid N                            nanoseconds a call
//	agent events URL                           reads events and acknowledges each
//	agent lateness URL                         nanoseconds by which events come late
//	agent bare PROGRAM [ARG]…                   runs a program with an empty environment
//	agent bare-many PROGRAM [ARG]…              runs 800 of them from many threads, and counts what they print
//	agent traced PROGRAM [ARG]…                 runs a program with an empty environment under ptrace
//	agent requests [-keepalive] N URL          nanoseconds a request
package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "agent: %v\n", err)
		os.Exit(1)
	}
}

// run finds the command by its name.
func run(args []string) error {
	if len(args) == 0 {
		return errors.New("no command")
	}
	commands := map[string]func([]string) error{
		"get":         get,
		"resolve":     resolve,
		"dial":        dial,
		"udp":         udp,
		"sockets":     sockets,
		"sockname":    sockname,
		"flood":       flood,
		"flood-one":   floodOne,
		"attempts":    attempts,
		"descriptors": descriptors,
		"orphans":     orphans,
		"getppid":     getppid,
		"requests":    requests,
		"events":      events,
		"lateness":    lateness,
		"bare":        bare,
		"bare-many":   bareMany,
		"traced":      traced,
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("no command is named %q", args[0])
	}
	return command(args[1:])
}

// errnoName returns the name of the errno in err, such as "EACCES"; "ok" for
// nil, and the text of any other error.
func errnoName(err error) string {
	if err == nil {
		return "ok"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
