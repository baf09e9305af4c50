package supervisor

import "golang.org/x/sys/unix"

// copyControl copies the control messages, and takes duplicates of what they
// pass; those are the caller's to close.
func (c *call) copyControl(o *outbound) (files passed, err error) {
	if o.m.controlLen == 0 {
		return files, nil
	}
	if o.m.controlLen > maxControlRoom {
		return files, unix.ENOBUFS
	}
	raw := make([]byte, o.m.controlLen)
	if err := c.read(o.m.control, raw); err != nil {
		return files, err
	}
	if o.k.domain != unix.AF_UNIX {
		o.control = raw
		return files, nil
	}
	messages, err := unix.ParseSocketControlMessage(raw)
	if err != nil {
		return files, unix.EINVAL
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch messages[i].Header.Type {
		case unix.SCM_RIGHTS:
			if err := c.copyRights(&messages[i], &files); err != nil {
				return files, err
			}
		case unix.SCM_CREDENTIALS:
			// The kernel tells those of who sends; others can't be claimed.
		default:
			return files, unix.EINVAL
		}
	}
	if len(files.fds) > 0 {
		o.control = unix.UnixRights(files.fds...)
	}
	return files, nil
}

// passed are duplicates of what a message passes, held until it is sent.
type passed struct {
	fds    []int
	shares []func() // give back what they are of
}

func (p passed) close() {
	for _, fd := range p.fds {
		unix.Close(fd)
	}
	for _, giveBack := range p.shares {
		giveBack()
	}
}

// maxRights is SCM_MAX_FD, <net/scm.h>: so many descriptors a message holds.
const maxRights = 253

// copyRights duplicates the descriptors that a message passes. ETOOMANYREFS is
// what unix(7) says where a user has too many under way.
func (c *call) copyRights(message *unix.SocketControlMessage, files *passed) error {
	fds, err := unix.ParseUnixRights(message)
	if err != nil || len(files.fds)+len(fds) > maxRights {
		return unix.EINVAL
	}
	getfd, ok := c.s.finder.(*getfdFinder)
	if !ok {
		return unix.EACCES
	}
	group, err := c.takeDescriptors(len(fds))
	if err != nil {
		return unix.ETOOMANYREFS
	}
	files.shares = append(files.shares, func() { c.s.descriptors.give(group, len(fds)) })
	for _, fd := range fds {
		dup, err := getfd.duplicate(c.tid(), int32(fd))
		if err != nil {
			return err
		}
		files.fds = append(files.fds, dup)
	}
	return nil
}
