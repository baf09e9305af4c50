package audit

// Totals are the numbers of a session, for its last line on the terminal.
type Totals struct {
	// Allowed, Denied and WouldDeny count the decisions that were recorded: all but those of the resolver, whose
	// questions are followed by a connection or a request.
	Allowed, Denied, WouldDeny uint64
	// Lost counts what was denied because it could not be recorded.
	Lost uint64
	// Path is the log, and LastHash the hash of its last record.
	Path, LastHash string
}

// Totals returns the numbers so far. A record with a duration tells of the end of what another has counted, and is not
// counted again.
func (l *Log) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.totals
	t.Path = l.path
	t.LastHash = l.prev
	return t
}

func (t *Totals) count(r *Record) {
	if r.Event == DNS || r.DurationMS != nil {
		return
	}
	switch r.Decision {
	case Allow:
		t.Allowed++
	case Deny:
		t.Denied++
	case WouldDeny:
		t.WouldDeny++
	}
}
