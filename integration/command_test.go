package integration

import (
	"os/exec"
	"testing"
)

// commandIn returns a command of a mode that runs in a folder with the tests'
// environment, for what is not a session.
func commandIn(t testing.TB, as mode, dir string, argv []string) *exec.Cmd {
	t.Helper()
	argv = as.wrap(t, argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, environment(dir)
	cmd.SysProcAttr = as.attributes()
	return cmd
}
