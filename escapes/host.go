package escapes

import (
	"slices"
	"strconv"
	"strings"
)

// hostAttempts change the machine's own state, as root.
func hostAttempts() []Attempt {
	list := slices.Concat(routeAttempts(), linkAttempts(), packetFilterAttempts(), settingAttempts(), mountAttempts(), groupAttempts())
	for i := range list {
		if !slices.Contains(list[i].Needs, NeedTunnel) {
			list[i].Needs = append(list[i].Needs, NeedRoot)
		}
	}
	return list
}

// inField are attempts that leave behind what they changed, and so are only
// made on a machine that the tests made.
var inField = []Need{NeedOuter}

// number is one that differs from attempt to attempt, from 1 to 60: what is
// set to it changes.
func (g *Ground) number() int {
	_, digits, _ := strings.Cut(g.Token, "-")
	n, _ := strconv.ParseUint(digits, 16, 64) // a token is "escape-" and digits
	return int(n%60) + 1
}

// spare is an address that nobody has, of a block for documentation (RFC
// 5737); each use has a part of the block.
func (g *Ground) spare(part int) []byte { return []byte{198, 51, 100, byte(60*part + g.number())} }

// loopbackIndex is that of the interface lo in every network namespace.
const loopbackIndex = 1
