//go:build !amd64

package escapes

// machineAttempts are machine code of x86-64 only.
func machineAttempts() []Attempt { return nil }
