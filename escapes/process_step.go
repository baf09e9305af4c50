package escapes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// groundFile is where the referee leaves the ground.
const groundFile = "ground.json"

// steps are parts of attempts that need a process of their own. They are no
// attempts: the list does not have them.
func steps() []Attempt { return slices.Concat(terminalSteps(), supervisorSteps(), namespaceSteps()) }

// findStep returns an attempt or a step.
func findStep(name string) (Attempt, error) {
	for _, a := range steps() {
		if a.Name == name {
			return a, nil
		}
	}
	return Find(name)
}

// stepFor is how long a step may take.
const stepFor = 3 * time.Second

// step runs an attempt or a step in a process of its own: program is this one,
// or one of Ground.Helpers. What the attempt inherited the step inherits.
func (g *Ground) step(program, name string, attr *syscall.SysProcAttr) error {
	cmd := g.stepCommand(program, name, attr)
	out, err := cmd.Output()
	var said report
	if json.Unmarshal(out, &said) != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case said.Found != nil:
		return Found(said.Found)
	case said.Error != "":
		return errors.New(strings.TrimSpace(said.Error))
	}
	return nil
}

// stepCommand is the command of a step, which is killed when its time is over.
func (g *Ground) stepCommand(program, name string, attr *syscall.SysProcAttr) *exec.Cmd {
	if program == "" {
		program = "/proc/self/exe"
	}
	cmd := exec.Command(program, stageAttempt, name, filepath.Join(g.Dir, groundFile))
	cmd.SysProcAttr, cmd.WaitDelay = attr, stepFor
	cmd.Stderr = os.Stderr
	time.AfterFunc(stepFor, func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill() // it may have ended
		}
	})
	return cmd
}
