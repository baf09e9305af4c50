package supervisor

import (
	"fmt"

	"golang.org/x/sys/unix"

	"boundary/tlsproxy"
)

// coverStores puts copies that hold the session's authority over the system's
// certificates. Nobody outside of the calling thread's mount namespace sees
// them, and they end with it.
//
// Preconditions: locked thread, in a mount namespace that closeKernelFiles made.
func coverStores(c *tlsproxy.Covering) error {
	const options = "size=32m,mode=755"
	if err := unix.Mount("boundary", c.Dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	covers, err := c.Write()
	if err != nil {
		return err
	}
	for _, one := range covers {
		if err := unix.Mount(one.Made, one.Over, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", one.Over, err)
		}
	}
	return nil
}
