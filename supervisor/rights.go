package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

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
			if err := c.copyRights(messages[i].Data, &files); err != nil {
				return files, err
			}
		case unix.SCM_CREDENTIALS:
			// Those of who sends are told (see sendAs); others can't be claimed.
			if len(messages[i].Data) != unix.SizeofUcred {
				return files, unix.EINVAL
			}
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

// copyRights duplicates the descriptors that a message passes. Where
// descriptors can't be duplicated, only sockets that the supervisor keeps a
// duplicate of can be passed. ETOOMANYREFS is what unix(7) says where a user has
// too many under way.
//
// What does not make up a number at the end is ignored, as by the kernel;
// unix.ParseUnixRights would panic.
func (c *call) copyRights(data []byte, files *passed) error {
	const size = 4 // of an int
	n := len(data) / size
	if len(files.fds)+n > maxRights {
		return unix.EINVAL
	}
	group, err := c.takeDescriptors(n)
	if err != nil {
		return unix.ETOOMANYREFS
	}
	files.shares = append(files.shares, func() { c.s.descriptors.give(group, n) })
	for ; len(data) >= size; data = data[size:] {
		fd := int32(binary.NativeEndian.Uint32(data))
		dup, err := c.s.finder.duplicate(c.tid(), fd)
		if err == unix.EACCES || err == unix.ENOTSOCK {
			c.s.refusedWith(c, unix.EACCES)
			return unix.EACCES
		}
		if err != nil {
			return err
		}
		files.fds = append(files.fds, dup)
	}
	return nil
}
