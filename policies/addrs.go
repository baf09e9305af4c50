package policies

import "net/netip"

// addrClass is a set of the properties for which an address may be refused.
type addrClass uint8

const (
	// addrPrivate needs `private = true`.
	addrPrivate addrClass = 1 << iota
	// addrMetadata needs a rule that names the address itself.
	addrMetadata
	// addrUnusable is never allowed.
	addrUnusable
)

// classify says what speaks against an address, and against each IPv4 address
// that it carries: a translator or a tunnel on the way would reach that one.
func classify(addr netip.Addr) addrClass {
	addr = addr.WithZone("").Unmap()
	if addr.Is4() {
		return classify4(addr)
	}
	class := classify6(addr)
	carried, n := carriedIPv4(addr)
	for _, a := range carried[:n] {
		class |= classify4(a)
	}
	return class
}

// classify4 follows the IANA IPv4 Special-Purpose Address Registry (RFC 6890).
func classify4(addr netip.Addr) addrClass {
	b := addr.As4()
	switch {
	case b[0] == 0, b[0] >= 224: // "this network", multicast, reserved, broadcast
		return addrUnusable
	case b[0] == 169 && b[1] == 254:
		return addrMetadata
	case b == [4]byte{168, 63, 129, 16}: // Azure's platform address, a public one
		return addrMetadata
	case b == [4]byte{100, 100, 100, 200}: // Alibaba Cloud's metadata service
		return addrMetadata | addrPrivate
	case b == [4]byte{192, 0, 0, 192}: // Oracle Cloud's metadata service
		return addrMetadata | addrPrivate
	case addr.IsPrivate(), addr.IsLoopback():
		return addrPrivate
	case b[0] == 100 && b[1]&0xc0 == 64: // shared, RFC 6598
		return addrPrivate
	case b[0] == 192 && b[1] == 0 && b[2] == 0: // IETF protocol assignments
		return addrPrivate
	case b[0] == 198 && b[1]&0xfe == 18: // benchmarking, RFC 2544
		return addrPrivate
	}
	return 0
}

// classify6 judges an IPv6 address without looking at what it carries.
func classify6(addr netip.Addr) addrClass {
	b := addr.As16()
	var class addrClass
	switch {
	case addr.IsUnspecified(), addr.IsMulticast():
		class = addrUnusable
	case addr.IsLinkLocalUnicast():
		class = addrMetadata
	case addr.IsLoopback(), addr.IsPrivate():
		class = addrPrivate
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0: // site-local, RFC 3879
		class = addrPrivate
	case hasPrefix(b, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01): // local-use NAT64, RFC 8215
		class = addrPrivate
	}
	switch {
	case hasPrefix(b, 0xfd, 0x00, 0x0e, 0xc2): // fd00:ec2::/32, Amazon EC2's services
		class |= addrMetadata
	case addr == netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 3: 0xce, 14: 0x02, 15: 0x54}): // fd20:ce::254, Google Cloud
		class |= addrMetadata
	case addr == netip.AddrFrom16([16]byte{0: 0xfd, 3: 0x42, 15: 0x42}): // fd00:42::42, Scaleway
		class |= addrMetadata
	}
	return class
}

// carriedIPv4 returns the IPv4 addresses within an IPv6 address, and how many
// they are.
func carriedIPv4(addr netip.Addr) (carried [2]netip.Addr, n int) {
	b := addr.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case hasPrefix(b, 0x00, 0x64, 0xff, 0x9b): // NAT64, RFC 6052 and RFC 8215
		carried[0], n = last, 1
	case hasPrefix(b, 0x20, 0x02): // 6to4, RFC 3056
		carried[0], n = netip.AddrFrom4([4]byte(b[2:6])), 1
	case hasPrefix(b, 0x20, 0x01, 0x00, 0x00): // Teredo, RFC 4380 §4
		carried[0] = netip.AddrFrom4([4]byte(b[4:8]))
		carried[1] = netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		n = 2
	case b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214 §6.1
		carried[0], n = last, 1
	case [12]byte(b[:12]) == [12]byte{} && !addr.IsUnspecified() && !addr.IsLoopback(): // IPv4-compatible
		carried[0], n = last, 1
	}
	return carried, n
}

func hasPrefix(b [16]byte, prefix ...byte) bool {
	return string(b[:len(prefix)]) == string(prefix)
}
