//go:build !amd64

package escapes

// traceAttempts know the registers of x86-64 only.
func traceAttempts() []Attempt { return nil }

func traceeStep(*Ground) error         { return nil }
func filteredTraceeStep(*Ground) error { return nil }
func socketTraceeStep(*Ground) error   { return nil }
func loopTraceeStep(*Ground) error     { return nil }
