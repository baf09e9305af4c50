package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"boundary/integration/internal/origin"

	"golang.org/x/sys/unix"
)

func main() {
	boundary := flag.String("boundary", filepath.Join("bin", "boundary"), "the binary to show")
	color := flag.String("color", "auto", "auto, always or never")
	flag.Parse()
	if err := run(*boundary, paint{on: colored(*color)}); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// colored reports whether to use colours: when asked to, or on a terminal.
func colored(choice string) bool {
	if choice != "auto" {
		return choice == "always"
	}
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("NO_COLOR") == ""
}

// run tells the story and checks that it held.
func run(boundary string, p paint) error {
	boundary, err := filepath.Abs(boundary)
	if err != nil {
		return err
	}
	outside, err := origin.Start(origin.Options{Handler: servers()})
	if err != nil {
		return err
	}
	defer outside.Close()
	dir, err := os.MkdirTemp("", "boundary-demo-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := furnish(dir, outside); err != nil {
		return err
	}

	p.heading("The policy: this agent may read GitHub, and nothing else")
	p.file(policy)
	p.heading("The agent: a shell script with curl that does as it is told")
	p.file(script)
	p.heading("boundary exec -p policy.hcl -- sh agent.sh")
	if err := runAgent(boundary, dir, p); err != nil {
		return err
	}
	p.heading("The audit log")
	if err := showLog(filepath.Join(dir, "audit.jsonl"), p); err != nil {
		return err
	}
	return check(outside, p)
}

// furnish writes what the agent finds in its workspace.
func furnish(dir string, outside *origin.Server) error {
	upstream := outside.Upstream("origin.pem", github, attacker)
	files := map[string]string{
		"policy.hcl": policy + "\n# For the demo both names are a server on this machine.\n" + upstream,
		"agent.sh":   script,
		"secrets":    "DATABASE_PASSWORD=hunter2\n",
		"origin.pem": string(outside.Authority.PEM()),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write workspace: %w", err)
		}
	}
	return nil
}

// runAgent runs the agent within the boundary and shows what it prints, and
// what boundary tells the developer.
func runAgent(boundary, dir string, p paint) error {
	cmd := exec.Command(boundary, "exec", "--audit", "audit.jsonl", "-p", "policy.hcl", "--", "sh", "agent.sh")
	cmd.Dir = dir
	var developer bytes.Buffer
	cmd.Stdout, cmd.Stderr = p.indented(), &developer
	err := cmd.Run()
	for line := range strings.Lines(strings.ReplaceAll(developer.String(), dir+"/", "")) {
		p.developer(line)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("the agent ended with status %d", exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("run agent: %w", err)
	}
	return nil
}

// check compares what the servers saw with what they should have seen.
func check(outside *origin.Server, p paint) error {
	read, stolen := len(outside.Requests(github)), len(outside.Requests(attacker))
	p.heading("Outside")
	p.line("%s saw %s", github, count(read))
	p.line("%s saw %s", attacker, count(stolen))
	if read != 1 || stolen != 0 {
		return fmt.Errorf("%s saw %s, want 1, and %s saw %s, want 0", github, count(read), attacker, count(stolen))
	}
	return nil
}

// count returns a number of requests in words.
func count(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}
