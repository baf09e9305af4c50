// Package integration proves the built binary from outside: real client
// programs, as an ordinary user, as root and under Docker's default seccomp
// profile, against an origin, a nameserver and a database server that the
// tests start themselves.
//
// It knows bin/boundary only by its contract (command line, policy language,
// audit log) and imports none of the packages that make it up. All traffic
// of sessions stays on loopback, and the tests that need the standard ports or a
// nameserver of their own make a network namespace for that.
//
// The programs that the tests need beside Go are the Debian packages in
// packages.txt. A missing one fails the test that needs it.
// Coding agents and Playwright come from the npm registry, in the versions that
// testdata/npm names, and are kept in boundary-integration below the user's
// cache folder, for root below /var/cache: 1.3 GB.
//
// Environment:
//
//   - BOUNDARY_BIN names the binary to test; without it `make -s build` makes
//     bin/boundary first.
//   - BOUNDARY_REQUIRE=all turns what an ordinary user's run can't do (it has
//     no network namespace of its own) from a skip into a failure.
package integration
