package escapes

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// packetFilterAttempts put something between the interfaces and the sockets.
func packetFilterAttempts() []Attempt {
	return []Attempt{
		{Name: "host/nftables", Does: "make a table of packet filter rules", Needs: inField, Try: makeTable},
		{Name: "host/queue", Does: "put a queue at an interface", Needs: inField, Try: func(g *Ground) error {
			head := make([]byte, sizeofTcMsg)
			binary.NativeEndian.PutUint32(head[4:], loopbackIndex)
			binary.NativeEndian.PutUint32(head[12:], 0xffffffff) // TC_H_ROOT
			return routeChange(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, head,
				attributeText(tcaKind, "pfifo"), attribute(tcaOptions, nativeUint32(uint32(1000+g.number()))))
		}},
		{Name: "host/xdp", Does: "load a BPF program and attach it to an interface", Needs: inField, Try: attachXDP},
	}
}

// makeTable asks for a table of nftables, in a batch as it must be.
func makeTable(g *Ground) error {
	const (
		begin, end = 0x10, 0x11 // NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END
		newTable   = 10 << 8    // NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE
		name       = 1          // NFTA_TABLE_NAME
	)
	batch := []byte{0, 0, 0, 10} // struct nfgenmsg: family, version, subsystem
	return netlink(unix.NETLINK_NETFILTER, slices.Concat(
		netlinkMessage(begin, 0, batch),
		netlinkMessage(newTable, unix.NLM_F_ACK|unix.NLM_F_CREATE, []byte{unix.AF_INET, 0, 0, 0}, attributeText(name, newLinkName(g))),
		netlinkMessage(end, 0, batch)))
}

// attachXDP loads a program that lets every packet pass, bpf(2), and attaches
// it to loopback.
func attachXDP(*Ground) error {
	const (
		progLoad       = 5
		progTypeXDP    = 6
		attrSize       = 128
		pass           = 2
		xdpFD          = 1      // IFLA_XDP_FD
		xdpFlags       = 3      // IFLA_XDP_FLAGS
		xdpGeneric     = 1 << 1 // XDP_FLAGS_SKB_MODE
		moveImmediate  = 0xb7   // r0 = …
		exit           = 0x95
		instructionLen = 8
	)
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	program := make([]byte, 2*instructionLen)
	program[0] = moveImmediate
	binary.NativeEndian.PutUint32(program[4:], pass)
	program[instructionLen] = exit
	m.half(0, progTypeXDP)
	m.half(4, 2) // instructions
	m.word(8, uint64(m.put(512, program)))
	m.word(16, uint64(m.put(1024, []byte("GPL\x00"))))
	fd, err := call(unix.SYS_BPF, progLoad, m.at(0), attrSize)
	if err != nil {
		return fmt.Errorf("load program: %w", err)
	}
	defer unix.Close(int(fd))
	return routeChange(unix.RTM_SETLINK, 0, linkHead(loopbackIndex), nested(unix.IFLA_XDP,
		attribute(xdpFD, nativeUint32(uint32(fd))), attribute(xdpFlags, nativeUint32(xdpGeneric))))
}
