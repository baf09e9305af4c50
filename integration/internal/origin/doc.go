// Package origin is a server that stands for the outside in the tests and in
// the demo: HTTP and HTTPS (HTTP/1.1 and HTTP/2) under whatever host names it
// is asked for, with an authority of its own, a record of every request that
// reached it, and a git repository to clone.
//
// A Server owns its listeners and goroutines until Close. All its methods may
// be called at the same time from several goroutines.
package origin
