package escapes

import "slices"

// abiAttempts arrive at the calls that lead out otherwise than by a plain
// system call of an ordinary process.
func abiAttempts() []Attempt {
	return bounded(slices.Concat(registerAttempts(), executionAttempts(), machineAttempts()))
}
