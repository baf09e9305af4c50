package escapes

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hostState is what root could change of the machine on which attempts are
// made, by kind, as lines. It is nil where that is a machine that others use
// too, who may change it themselves.
func (r *Referee) hostState() map[string][]string {
	if r.options.Device == "" {
		return nil
	}
	state := map[string][]string{}
	_ = r.options.Inside(func() error { // fails only where its function does
		for kind, read := range hostKinds {
			state[kind] = read(r)
		}
		return nil
	})
	return state
}

// hostKinds say how each kind is read. They are read on a thread that has the
// machine's namespaces.
var hostKinds = map[string]func(*Referee) []string{
	"routes":     func(*Referee) []string { return tableLines(unix.RTM_GETROUTE) },
	"rules":      func(*Referee) []string { return tableLines(unix.RTM_GETRULE) },
	"addresses":  func(*Referee) []string { return tableLines(unix.RTM_GETADDR) },
	"neighbours": func(*Referee) []string { return tableLines(unix.RTM_GETNEIGH) },
	"queues":     func(*Referee) []string { return tableLines(unix.RTM_GETQDISC) },
	"interfaces": func(*Referee) []string { return tableLines(unix.RTM_GETLINK) },
	"netfilter":  func(*Referee) []string { return netfilterLines() },
	"settings":   func(*Referee) []string { return settingLines() },
	"mounts":     func(*Referee) []string { return fileLines("/proc/thread-self/mountinfo") },
	"name":       func(*Referee) []string { return nameLines() },
	"nodes":      (*Referee).nodeLines,
}

// judgeHost notes what an attempt changed.
func (r *Referee) judgeHost(g *Ground, before map[string][]string) {
	for kind, lines := range r.hostState() {
		gone, come := minus(before[kind], lines), minus(lines, before[kind])
		if len(gone)+len(come) > 0 {
			r.note("host", fmt.Sprintf("%s changed from %q to %q", kind, gone, come), []byte(g.Token))
		}
	}
}

// minus returns what is in a and not in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) })
}

// fileLines are a file's lines; none where it can't be read.
func fileLines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// settings are files below /proc/sys/net that attempts change, and some whose
// change would lead out.
var settings = []string{
	"core/somaxconn", "ipv4/ip_forward", "ipv4/ip_nonlocal_bind", "ipv4/ip_unprivileged_port_start", "ipv4/ping_group_range",
	"ipv4/conf/all/route_localnet", "ipv4/conf/all/accept_local", "ipv4/conf/all/rp_filter", "ipv4/conf/lo/forwarding",
	"ipv4/conf/all/accept_source_route", "ipv4/tcp_syn_retries", "ipv6/conf/all/forwarding", "ipv6/conf/lo/hop_limit",
}

func settingLines() []string {
	var lines []string
	for _, name := range settings {
		for _, line := range fileLines("/proc/sys/net/" + name) {
			lines = append(lines, name+" = "+line)
		}
	}
	return lines
}

// nameLines are the machine's names, uname(2).
func nameLines() []string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil
	}
	return []string{unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Domainname[:])}
}

// nodeLines are the device nodes in the attempts' folder.
func (r *Referee) nodeLines() []string {
	var lines []string
	_ = filepath.WalkDir(r.options.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeDevice != 0 {
			lines = append(lines, path)
		}
		return nil // what can't be read has no node that could be used
	})
	return lines
}
