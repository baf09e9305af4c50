// Command boundary runs a program so that it can reach the network only as a
// policy says. See the README and `boundary help`.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"boundary/escapes"
	"boundary/supervisor"
)

// Exit statuses of boundary itself. Those of `exec` are the command's own
// otherwise, 128+N where signal N ended it.
const (
	exitFailure       = 1   // a check found something
	exitUsage         = 2   // the command line is wrong
	exitInternal      = 125 // exec: boundary failed, COMMAND was not started
	exitNotExecutable = 126 // exec: COMMAND can't be executed
	exitNotFound      = 127 // exec: COMMAND does not exist
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == supervisor.Stage {
		supervisor.LaunchMain()
		os.Exit(exitInternal) // the supervisor knows why
	}
	if escapes.Main(os.Args[1:]) {
		return
	}
	os.Exit(run(os.Args[1:]))
}

// exitError carries a status to main. Without a text everything was said.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "boundary: "+text)
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.status
	}
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "boundary",
		Short: "Run a program that can reach the network only as a policy says",
		Long: `Run a program, such as an AI agent, so that it can reach the network only as a
policy says. No privilege, no proxy setting and no container is needed.

  boundary exec -p policy.hcl -- agent

What the policy does not allow is refused with an explanation, and every
request is written to an audit log before it is answered.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newExec(), newDoctor(), newVersion())
	return root
}
