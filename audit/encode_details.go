package audit

import "strconv"

// maxArgs is the most arguments that a system call of Linux has.
const maxArgs = 6

// appendDetails appends the members that belong to a few events only.
func appendDetails(b []byte, r *Record) []byte {
	if r.Start != nil {
		b = appendStart(b, r.Start)
	}
	if e := r.End; e != nil {
		b = append(b, `,"end":{"exit_status":`...)
		b = strconv.AppendInt(b, int64(e.ExitStatus), 10)
		b = appendText(b, "signal", e.Signal, maxWord)
		b = appendUint(b, "allowed", e.Allowed)
		b = appendUint(b, "denied", e.Denied)
		if e.WouldDeny > 0 {
			b = appendUint(b, "would_deny", e.WouldDeny)
		}
		b = append(b, '}')
	}
	if r.Syscall != nil {
		b = appendSyscall(b, r.Syscall)
	}
	if l := r.Lost; l != nil {
		b = append(b, `,"lost":{"records":`...)
		b = strconv.AppendUint(b, l.Records, 10)
		b = appendTime(b, "since", l.Since)
		b = append(b, `,"cause":`...)
		b = appendString(b, l.Cause, maxText)
		b = append(b, '}')
	}
	return b
}

func appendStart(b []byte, s *Start) []byte {
	b = append(b, `,"start":{"version":`...)
	b = appendString(b, s.Version, maxWord)
	b = appendText(b, "mode", s.Mode, maxWord)
	b = appendText(b, "kernel", s.Kernel, maxWord)
	b = append(b, `,"guards":`...)
	b = appendList(b, s.Guards, maxList, maxFile)
	if len(s.Missing) > 0 {
		b = append(b, `,"missing":`...)
		b = appendList(b, s.Missing, maxList, maxFile)
	}
	if len(s.Policies) > 0 {
		b = append(b, `,"policies":`...)
		b = appendList(b, s.Policies, maxList, 4*maxFile)
	}
	b = append(b, `,"command":`...)
	b = appendArgv(b, s.Command)
	if len(s.Standard) > 0 {
		b = appendStandard(b, s.Standard)
	}
	b = appendText(b, "public_key", s.PublicKey, maxText)
	return append(b, '}')
}

func appendStandard(b []byte, standard []Standard) []byte {
	b = append(b, `,"standard":[`...)
	for i, one := range standard[:min(len(standard), maxArgs)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"fd":`...)
		b = strconv.AppendInt(b, int64(one.FD), 10)
		b = appendText(b, "family", one.Family, maxWord)
		b = appendText(b, "type", one.Type, maxWord)
		b = appendText(b, "peer", one.Peer, maxText)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendSyscall(b []byte, s *Syscall) []byte {
	b = append(b, `,"syscall":{"name":`...)
	b = appendString(b, s.Name, maxWord)
	if len(s.Args) > 0 {
		b = append(b, `,"args":[`...)
		for i, arg := range s.Args[:min(len(s.Args), maxArgs)] {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, arg, 10)
		}
		b = append(b, ']')
	}
	b = appendText(b, "errno", s.Errno, maxWord)
	return append(b, '}')
}
