package escapes

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterAttempts enter namespaces of others, or reach into them. The first
// process's are not entered: its network is nobody's to send to.
func enterAttempts() []Attempt {
	list := []Attempt{
		{Name: "namespace/inherited", Does: "enter an inherited network namespace and connect", Try: joinInherited},
		{Name: "namespace/inherited-owner", Does: "ask an inherited namespace for its owner, and enter both", Try: joinWithOwner},
		{Name: "namespace/victim", Does: "enter a process's network namespace and connect", Try: func(g *Ground) error {
			var failed error
			for _, pid := range g.targets() {
				failed = joinPath(g, procFile(pid, "ns/net"))
			}
			return failed
		}},
		{Name: "namespace/victim-pidfd", Does: "enter a process's namespaces by its pidfd, and connect", Try: func(g *Ground) error {
			var failed error
			for _, pid := range g.targets() {
				failed = onPidfd(func(g *Ground, pidfd uintptr) error {
					return join(g, pidfd, unix.CLONE_NEWNET|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC)
				})(g, pid)
			}
			return failed
		}},
		{Name: "namespace/of-socket", Does: "ask a socket for its network namespace, enter it and connect", Try: joinOfSocket},
		{Name: "namespace/make-outside", Does: "make an interface in the machine's network from one's own", Needs: inField, Try: func(g *Ground) error {
			return g.step("", stepMakeOutside, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
		}},
	}
	for i := range list {
		list[i].Needs = append(list[i].Needs, NeedRoot)
	}
	return list
}

// Steps of these attempts.
const (
	stepJoin        = "step/join"
	stepMakeOutside = "step/make-outside"
)

// join enters namespaces, and connects from there.
func join(g *Ground, fd uintptr, kinds int) error {
	runtime.LockOSThread() // never unlocked
	if err := unix.Setns(int(fd), kinds); err != nil {
		return fmt.Errorf("enter: %w", err)
	}
	return connectAndWrite(g, g.Denied.AddrPort4())
}

func joinPath(g *Ground, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return join(g, file.Fd(), unix.CLONE_NEWNET)
}

// joinInherited enters outside's namespace, where the denied peer lives.
func joinInherited(g *Ground) error { return join(g, uintptr(g.Inherited["netns"]), unix.CLONE_NEWNET) }

// joinWithOwner looks for rights over a namespace with its owner,
// ioctl_ns(2). A process is in that already where it has rights at all.
func joinWithOwner(g *Ground) error {
	const getUserns = 0xb701 // NS_GET_USERNS
	owner, err := call(unix.SYS_IOCTL, uintptr(g.Inherited["netns"]), getUserns, 0)
	if err != nil {
		return fmt.Errorf("ask for owner: %w", err)
	}
	_ = unix.Setns(int(owner), unix.CLONE_NEWUSER) // EINVAL: it is its own
	return joinInherited(g)
}

// joinOfSocket asks for the namespace of a socket, socket(7).
func joinOfSocket(g *Ground) error {
	const siocGSKNS = 0x894c
	return onTCP(func(fd uintptr) error {
		space, err := call(unix.SYS_IOCTL, fd, siocGSKNS, 0)
		if err != nil {
			return fmt.Errorf("ask for namespace: %w", err)
		}
		return join(g, space, unix.CLONE_NEWNET)
	})
}

// makeOutside makes an interface in the victim's network namespace. One end of
// a pair would go with the other, when this namespace ends.
func makeOutside(g *Ground) error {
	return routeChange(unix.RTM_NEWLINK, unix.NLM_F_CREATE, linkHead(0), attributeText(unix.IFLA_IFNAME, newLinkName(g)),
		attribute(unix.IFLA_NET_NS_PID, nativeUint32(uint32(g.Victim.PID))),
		nested(unix.IFLA_LINKINFO, attributeText(unix.IFLA_INFO_KIND, "bridge")))
}
