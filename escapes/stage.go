package escapes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

// The first arguments by which the program knows that it is one of this
// package's processes. They are not commands for users.
const (
	stageAttempt = "boundary-attempt"
	stageVictim  = "boundary-victim"
	stageStep    = "boundary-step"
	stagePart    = "boundary-attempt-part"
)

// Main runs the stage that args, the program's arguments without its name,
// ask for; false where that is none of this package's.
func Main(args []string) bool {
	switch {
	case len(args) == 3 && args[0] == stageAttempt:
		attemptMain(args[1], args[2])
	case len(args) == 1 && args[0] == stageVictim:
		victimMain()
	case len(args) == 3 && args[0] == stageStep:
		stepMain(args[1], args[2])
	case len(args) >= 3 && args[0] == stagePart:
		partMain(args[1], args[2], args[3:])
	default:
		return false
	}
	return true
}

// report is what an attempt says of itself when it is over.
type report struct {
	Error string
	Found []byte // what it takes for the victim's secret
	// Stalled is how others' network stood still.
	Stalled string
}

// Found is the error of an attempt that found out what it takes for the
// victim's secret.
type Found []byte

// Error implements error.
func (f Found) Error() string { return fmt.Sprintf("found %d bytes", len(f)) }

// Stalled is the error of an attempt that held up the network of another
// process of its session.
type Stalled string

// Error implements error.
func (s Stalled) Error() string { return string(s) }

// attemptMain makes one attempt and reports on standard output.
func attemptMain(name, ground string) {
	var r report
	err := try(name, ground)
	if err != nil {
		r.Error = err.Error()
	}
	var found Found
	if errors.As(err, &found) {
		r.Found = found
	}
	var stalled Stalled
	if errors.As(err, &stalled) {
		r.Stalled = string(stalled)
	}
	// Where standard output is gone nobody wants to know.
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// try makes the attempt. One that faults in its own memory was refused.
func try(name, ground string) (err error) {
	debug.SetPanicOnFault(true)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	a, err := findStep(name)
	if err != nil {
		return err
	}
	g, err := readGround(ground)
	if err != nil {
		return err
	}
	return a.Try(g)
}
