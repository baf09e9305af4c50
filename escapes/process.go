package escapes

import "slices"

// processAttempts turn on processes outside: one of the same user, and those
// of the session itself that stand above the attempt.
func processAttempts() []Attempt {
	return slices.Concat(
		memoryAttempts(), signalAttempts(), ownerAttempts(), limitAttempts(), supervisorAttempts(), terminalAttempts(),
	)
}

// Guards that alone hold what is done to other processes.
var (
	ptraceGuard = []string{"landlock-ptrace"}
	scopeGuard  = []string{"landlock-scope"}
)
