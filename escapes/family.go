package escapes

// familyAttempts use other families, types and protocols of sockets.
func familyAttempts() []Attempt {
	return []Attempt{}
}
