package integration

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"boundary/integration/internal/origin"
)

// bench is a folder with a policy in which commands run with and without
// boundary, as the ordinary user.
type bench struct {
	b   *testing.B
	dir string
}

// newBench makes the folder.
func newBench(b *testing.B, policy string) bench {
	b.Helper()
	dir := asUser.dir(b)
	asUser.write(b, dir+"/policy.hcl", policy)
	return bench{b, dir}
}

// bare returns a command without boundary.
func (c bench) bare(argv ...string) *exec.Cmd {
	c.b.Helper()
	return commandIn(c.b, asUser, c.dir, argv)
}

// within returns the same command within boundary.
func (c bench) within(argv ...string) *exec.Cmd {
	c.b.Helper()
	return c.bare(append([]string{shop.boundary(c.b), "exec", "--quiet", "--audit", "audit.jsonl", "-p", "policy.hcl", "--"}, argv...)...)
}

// time runs a command to its end and returns how long that took.
func (c bench) time(cmd *exec.Cmd) time.Duration {
	c.b.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		c.b.Fatalf("run %s: %v\n%s", cmd.Args, err, &said)
	}
	return time.Since(began)
}

// number runs a command that prints one number and returns it.
func (c bench) number(cmd *exec.Cmd) float64 {
	c.b.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		c.b.Fatalf("run %s: %v\n%s", cmd.Args, err, &said)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		c.b.Fatalf("read number of %s: %v", cmd.Args, err)
	}
	return n
}

// median returns the middle of some values; what disturbs a measurement moves
// it less than the mean.
func median[T int64 | float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkStartup runs `true` alone and within boundary in turn: what a
// command costs more because of boundary.
func BenchmarkStartup(b *testing.B) {
	c := newBench(b, denyAll)
	path := program(b, "true")
	c.time(c.within(path)) // not measured: the binary comes from the disk
	var bare, within []time.Duration
	for b.Loop() {
		bare = append(bare, c.time(c.bare(path)))
		within = append(within, c.time(c.within(path)))
	}
	alone, inside := milliseconds(median(bare)), milliseconds(median(within))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(alone, "ms-bare")
	b.ReportMetric(inside, "ms-boundary")
	b.ReportMetric(inside-alone, "ms-more")
	b.ReportMetric(inside/alone, "ratio")
}

// milliseconds returns a duration as a number.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkUntrapped calls getppid(2), which the filter lets pass: what a
// syscall costs more that has nothing to do with the network. Beside it stands
// what the kernel takes for any seccomp filter, one that allows everything.
func BenchmarkUntrapped(b *testing.B) {
	c := newBench(b, denyAll)
	argv := []string{shop.agent(b), "getppid", "2000000"}
	empty := append([]string{shop.confine(b), "empty"}, argv...)
	var bare, filtered, within []float64
	for b.Loop() {
		bare = append(bare, c.number(c.bare(argv...)))
		filtered = append(filtered, c.number(c.bare(empty...)))
		within = append(within, c.number(c.within(argv...)))
	}
	alone, least, inside := slices.Min(bare), slices.Min(filtered), slices.Min(within)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(alone, "ns-bare")
	b.ReportMetric(inside, "ns-boundary")
	b.ReportMetric(least, "ns-empty-filter")
	b.ReportMetric(100*(inside/alone-1), "%-more")
	b.ReportMetric(100*(inside/least-1), "%-more-than-empty-filter")
}

// BenchmarkRequests makes one request after another, straight to the origin
// and through boundary: the time of one, with a connection for each or one
// for all.
func BenchmarkRequests(b *testing.B) {
	outside := startOrigin(b, origin.Options{})
	ca := caFile(b, outside)
	policy := "allow \"api\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(ca, allowedHost)
	c := newBench(b, policy)
	for _, scheme := range []string{"http", "https"} {
		for _, keepalive := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/keepalive=%t", scheme, keepalive), func(b *testing.B) {
				c := bench{b, c.dir}
				address := map[string]string{"http": outside.HTTPAddr(), "https": outside.TLSAddr()}[scheme]
				argv := []string{shop.agent(b), "requests", fmt.Sprintf("-keepalive=%t", keepalive), "300"}
				var bare, within []float64
				for b.Loop() {
					straight := c.bare(append(argv, scheme+"://"+address+"/json")...)
					straight.Env = append(straight.Env, "SSL_CERT_FILE="+ca)
					bare = append(bare, c.number(straight))
					within = append(within, c.number(c.within(append(argv, scheme+"://"+allowedHost+"/json")...)))
				}
				report(b, "µs", median(bare)/1000, median(within)/1000)
			})
		}
	}
}

// BenchmarkDownload reads a quarter of a gigabyte, straight and through
// boundary.
func BenchmarkDownload(b *testing.B) {
	const size = 256 << 20
	outside := startOrigin(b, origin.Options{})
	ca := caFile(b, outside)
	policy := "allow \"api\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(ca, allowedHost)
	page := fmt.Sprintf("/bytes/%d", size)
	for _, scheme := range []string{"http", "https"} {
		b.Run(scheme, func(b *testing.B) {
			c := newBench(b, policy)
			address := map[string]string{"http": outside.HTTPAddr(), "https": outside.TLSAddr()}[scheme]
			argv := []string{program(b, "curl"), "-sSf", "-o", "/dev/null"}
			var bare, within []float64
			for b.Loop() {
				straight := c.time(c.bare(append(argv, "--cacert", ca, scheme+"://"+address+page)...))
				through := c.time(c.within(append(argv, scheme+"://"+allowedHost+page)...))
				bare = append(bare, float64(size>>20)/straight.Seconds())
				within = append(within, float64(size>>20)/through.Seconds())
			}
			report(b, "MB/s", median(bare), median(within))
		})
	}
}

// report prints two measurements side by side, with their ratio.
func report(b *testing.B, unit string, bare, within float64) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(bare, unit+"-bare")
	b.ReportMetric(within, unit+"-boundary")
	b.ReportMetric(within/bare, "ratio")
}
