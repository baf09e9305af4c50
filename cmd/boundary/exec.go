package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"boundary/audit"
	"boundary/policies"
	"boundary/supervisor"
)

// execFlags are the flags of exec.
type execFlags struct {
	policies []string
	allow    []string
	audit    string
	user     string
	install  bool
	quiet    bool
}

func newExec() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [-p FILE]... [flags] -- COMMAND [ARG]...",
		Short: "Run a command inside the boundary",
		Long: `Run COMMAND inside the boundary. Several -p are taken together.

Without -p the policy is ./boundary.hcl, else boundary/policy.hcl in the user's
and then in the system's configuration directory, else one that denies
everything.

The exit status is the command's own; 128+N where signal N ended it; 127 where
COMMAND does not exist, 126 where it can't be executed, 125 where boundary
itself failed. In these last three cases COMMAND was not started.`,
		Example: `  boundary exec -p policy.hcl -- claude
  boundary exec --allow "GET,HEAD api.github.com/repos/**" -- sh agent.sh`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{exitInternal, errors.New("exec needs a command: boundary exec -p policy.hcl -- COMMAND")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.run(args) },
	}
	cmd.Flags().SetInterspersed(false) // flags after COMMAND are its own
	cmd.Flags().StringArrayVarP(&f.policies, "policy", "p", nil, "policy `FILE`; may be repeated")
	cmd.Flags().StringArrayVar(&f.allow, "allow", nil, "add a rule, such as \"GET,HEAD api.github.com/repos/**\"; may be repeated")
	cmd.Flags().StringVar(&f.audit, "audit", "", "write the audit log to `FILE`")
	cmd.Flags().StringVar(&f.user, "user", "", "run COMMAND as user `NAME` (root only)")
	cmd.Flags().BoolVar(&f.install, "install-ca", false, "as root: put the session's certificate into the system's store, for programs that read nothing else")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "say nothing on stderr; the log is written all the same")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitInternal, err} })
	_ = cmd.MarkFlagFilename("policy", "hcl", "json")
	_ = cmd.MarkFlagFilename("audit", "jsonl")
	return cmd
}

func (f *execFlags) run(command []string) error {
	if f.install && os.Geteuid() != 0 {
		return &exitError{exitInternal, errors.New("--install-ca: only root can change the system's certificate store; without it boundary doctor says what trusts the session")}
	}
	account, err := lookupUser(f.user)
	if err != nil {
		return &exitError{exitInternal, err}
	}
	env := account.environ(os.Environ())
	path, err := findProgram(command[0], env)
	if err != nil {
		return err
	}
	// The launcher starts up while the policy is read.
	launcher, err := supervisor.StartLauncher(account.credential)
	if err != nil {
		return &exitError{exitInternal, err}
	}
	cfg, err := f.config()
	if err != nil {
		launcher.Abandon()
		return err
	}
	cfg.Path, cfg.Command, cfg.Env = path, command, env
	status, err := supervisor.Run(launcher, cfg)
	if err != nil {
		cfg.Terminal.Close()
		return startError(command[0], err)
	}
	cfg.Terminal.Totals(cfg.Audit.Totals())
	cfg.Terminal.Close()
	if err := cfg.Audit.Close(); err != nil {
		return &exitError{exitInternal, err}
	}
	if status != 0 {
		return &exitError{status: status}
	}
	return nil
}

// config reads the policy and opens the audit log.
func (f *execFlags) config() (supervisor.Config, error) {
	policy, names, err := f.policy()
	if err != nil {
		return supervisor.Config{}, err
	}
	log := logrus.New()
	log.SetOutput(os.Stderr)
	log.SetLevel(logrus.WarnLevel)
	log.SetFormatter(&plainFormatter{})
	auditLog, err := audit.Open(audit.Options{Path: f.audit})
	if err != nil {
		return supervisor.Config{}, &exitError{exitInternal, fmt.Errorf("%w (name another place with --audit FILE)", err)}
	}
	cfg := supervisor.Config{
		Policy: policy, Audit: auditLog, Log: log, Version: versionText(), Policies: names,
		InstallCA: f.install,
	}
	if !f.quiet {
		cfg.Terminal = audit.NewTerminal(os.Stderr, colored(os.Stderr))
	}
	return cfg, nil
}

// policy makes the policy of all that was named, and says of what.
func (f *execFlags) policy() (*policies.Policy, []string, error) {
	files := f.policies
	if len(files) == 0 {
		found, err := defaultPolicy()
		if err != nil {
			return nil, nil, &exitError{exitInternal, err}
		}
		files = found
		if len(files) == 0 && len(f.allow) == 0 && !f.quiet {
			fmt.Fprintln(os.Stderr, "boundary: no policy found (-p FILE, ./boundary.hcl): everything is denied")
		}
	}
	var sources []policies.Source
	for _, file := range files {
		if err := readable(file); err != nil {
			return nil, nil, &exitError{exitInternal, err}
		}
		sources = append(sources, policies.File(file))
	}
	names := append([]string(nil), files...)
	for _, text := range f.allow {
		source, err := policies.ParseSpec(text)
		if err != nil {
			return nil, nil, &exitError{exitInternal, fmt.Errorf("--allow: %w", err)}
		}
		sources = append(sources, source)
		names = append(names, "--allow "+text)
	}
	policy, diags := policies.Compile(policies.Options{Env: os.LookupEnv, Guards: supervisor.GuardNames()}, sources...)
	if diags.Len() > 0 {
		if err := diags.Render(os.Stderr, colored(os.Stderr), terminalWidth(os.Stderr)); err != nil {
			return nil, nil, &exitError{exitInternal, err}
		}
	}
	if diags.HasErrors() {
		return nil, nil, &exitError{exitInternal, errors.New("the policy has errors, so nothing was started")}
	}
	return policy, names, nil
}

// readable says in one line what is wrong with a file that can't be read; what
// is wrong in it is for the diagnostics.
func readable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	if info.IsDir() {
		return fmt.Errorf("read policy: %s is a directory", file)
	}
	return nil
}

// startError says why the command was not started, with the status of a shell.
func startError(name string, err error) error {
	status := supervisor.StartStatus(err)
	var stage *supervisor.StageError
	if status == exitInternal || !errors.As(err, &stage) {
		return &exitError{exitInternal, err}
	}
	if status == exitNotFound {
		return &exitError{status, fmt.Errorf("%s: the interpreter that its first line names was not found", name)}
	}
	return &exitError{status, fmt.Errorf("%s: %w", name, stage.Err)}
}

// colored says whether a file takes colours: a terminal, and nobody asked for
// none (no-color.org).
func colored(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

const plainWidth = 80 // columns where there is no terminal

func terminalWidth(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return plainWidth
	}
	return width
}

// plainFormatter writes a diagnostic as one line of boundary's own voice.
type plainFormatter struct{}

func (*plainFormatter) Format(e *logrus.Entry) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "boundary: %s", e.Message)
	for _, key := range []string{logrus.ErrorKey, "cause"} {
		if v, ok := e.Data[key]; ok {
			fmt.Fprintf(&b, ": %v", v)
		}
	}
	b.WriteByte('\n')
	return []byte(b.String()), nil
}
