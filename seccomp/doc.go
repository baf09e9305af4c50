// Package seccomp holds everything that boundary does with the kernel's
// sandboxing interfaces: the filter programs, the user-notification listener,
// access to the memory of a stopped target, and Landlock.
//
// It is the only package that issues ioctls on the listener and the only one
// that imports unsafe. It knows nothing of policies, names or proxies.
//
// Trust boundary: everything that is read from a target (register arguments,
// memory, /proc entries) is hostile. Memory is copied once, into a buffer of
// ours and with a bound, and Listener.Valid is asked afterwards whether the
// notification still stands; a decision is taken on the copy only.
//
// The package refuses to install a filter on more than the calling thread:
// the launcher depends on having one thread that is not filtered.
//
// Sources: seccomp(2), seccomp_unotify(2), landlock(7),
// Documentation/userspace-api/{seccomp_filter,landlock}.rst.
package seccomp
