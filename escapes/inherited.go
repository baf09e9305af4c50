package escapes

// inheritAttempts use what the caller left open.
func inheritAttempts() []Attempt {
	return []Attempt{}
}
