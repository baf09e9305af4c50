// Package supervisor runs one session: it starts the agent behind the filters,
// answers its trapped system calls, makes for it the connections that the
// policy allows, answers its DNS queries, and says which process each
// connection belongs to.
//
// Trust boundary: everything about the agent is hostile: its registers, its
// memory, its descriptors, its names. Memory is copied once and the copy is
// decided on; a connect, a bind or a send with an address is made by the
// supervisor on a duplicate of the agent's socket, never continued.
//
// What is continued (answered with SECCOMP_USER_NOTIF_FLAG_CONTINUE) can do no
// harm whatever descriptor or memory the agent swaps in meanwhile; each such
// place says why.
//
// Goroutines: one goroutine receives notifications and answers them in place.
// A handler that may wait (for a peer, for a datagram) first calls
// call.mayBlock, which starts another receiver, and waits in call.rest, which
// lets others of its process go on. While caution is on another receiver is
// started for each call. State that is shared between handlers is guarded by the
// mutex of the struct that holds it.
//
// The package refuses to run an agent when a guard that the policy requires is
// missing, when the audit log cannot be opened, or when the filter cannot be
// installed.
package supervisor
