package policies

import (
	"slices"
	"strconv"
	"strings"
)

// portList checks a list of ports and ranges.
func (v *validator) portList(name string, list *rawList) []portRange {
	if v.emptyList(name, list) {
		return nil
	}
	ports := []portRange{}
	for _, i := range list.items {
		p, ok := parsePorts(i.text)
		if !ok {
			v.diags.errorAt(i.at, "Invalid port", "A port is a number from 1 to 65535, or a range of them as in \"8000-8999\"; found %s.", i.found())
			continue
		}
		ports = append(ports, p)
	}
	return ports
}

// parsePorts reads "443" or "8000-8999".
func parsePorts(text string) (portRange, bool) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, ok1 := parsePort(from)
	last, ok2 := parsePort(to)
	return portRange{first, last}, ok1 && ok2 && first <= last
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0 && text[0] != '0'
}

// publicPorts checks listen.public, which lists ports one by one.
func (v *validator) publicPorts(list *rawList) {
	for _, i := range list.items {
		port, ok := parsePort(i.text)
		if !ok {
			v.diags.errorAt(i.at, "Invalid port", "\"public\" lists single ports from 1 to 65535; found %s.", i.found())
			continue
		}
		if !slices.Contains(v.out.public, port) {
			v.out.public = append(v.out.public, port)
		}
	}
}
