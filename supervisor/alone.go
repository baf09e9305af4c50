package supervisor

import "golang.org/x/sys/unix"

// A message that the supervisor sends says so: who asks for the sender's
// process (unix(7), SO_PASSCRED) is told the supervisor's, and no ordinary user
// may claim another's. Browsers ask; so where it is safe the agent sends itself.
//
// It is on a unix stream or seqpacket socket, which take no name in a message,
// if nobody can put another socket in its place while the kernel runs the call:
// if the caller's process has no other thread, and no process shares its
// descriptors. Descriptors that others write into its table do not come about
// without a call of its own (SCM_RIGHTS, open), and a tracer can't make it call
// before this call has ended.

// clone notes that a process is made which shares descriptors with its maker.
// The filter traps only those; clone3(2) says that it is not there.
func (c *call) clone() reply {
	c.s.descriptorsShared.Store(true)
	return proceed
}

// sendsItself says whether the caller may send on a socket by itself.
func (c *call) sendsItself(k *socket) bool {
	return k.domain == unix.AF_UNIX && (k.typ == unix.SOCK_STREAM || k.typ == unix.SOCK_SEQPACKET) &&
		!c.s.descriptorsShared.Load() && singleThreaded(c.tid()) && c.valid()
}

// singleThreaded says whether a thread is its process's only one. While it waits
// in a call, it stays so.
func singleThreaded(tid int) bool {
	status, err := readStatus(tid)
	threads := statusNumbers(status, "Threads")
	return err == nil && len(threads) == 1 && threads[0] == 1
}
