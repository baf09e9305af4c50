package escapes

// raceAttempts race the supervisor.
func raceAttempts() []Attempt {
	return []Attempt{}
}
