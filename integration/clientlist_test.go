package integration

import (
	"net/url"
	"strings"
	"testing"
)

// toolClients returns the tools that fetch a page.
func toolClients() []client {
	return []client{
		{name: "curl", exe: "curl", command: curl},
		{name: "wget", exe: "wget", refused: 8, command: func(t testing.TB, method, address string) []string {
			argv := []string{program(t, "wget"), "-nv", "--tries=1", "-O", "-", "--content-on-error", "--method=" + method}
			if method == "POST" {
				argv = append(argv, "--body-data=secret")
			}
			return append(argv, address)
		}},
		{name: "openssl s_client", exe: "openssl", command: func(t testing.TB, method, address string) []string {
			u := parse(t, address)
			script := `printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$2" "$4" "$3" |
exec "$1" s_client -quiet -verify_quiet -verify_return_error -servername "$3" -connect "$3:443"`
			return []string{program(t, "sh"), "-c", script, "sh", program(t, "openssl"), method, u.Host, u.Path}
		}},
	}
}

// curl returns a command line that prints the body, as it comes, and the
// status.
func curl(t testing.TB, method, address string) []string {
	argv := []string{program(t, "curl"), "-sSN", "-X", method, "-w", `\n%{http_code}\n`}
	if method == "POST" {
		argv = append(argv, "--data", "secret")
	}
	return append(argv, address)
}

// parse reads an address.
func parse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("read address: %v", err)
	}
	return u
}

// gitClients returns what git does with a repository, whatever the method.
func gitClients() []client {
	clone := `"$1" clone -q "$2" clone || exit; exec cat clone/README`
	push := `set -e
"$1" init -q work && cd work
echo pushed > file && "$1" add file
"$1" -c user.name=test -c user.email=test@localhost commit -q -m pushed
"$1" push -q "$2" "HEAD:refs/heads/$$"
cd .. && "$1" clone -q -b "$$" "$2" clone
cat clone/file && echo "$3"`
	script := func(text string) func(testing.TB, string, string) []string {
		return func(t testing.TB, _, address string) []string {
			return []string{program(t, "sh"), "-c", text, "sh", program(t, "git"), address, marker}
		}
	}
	one := client{exe: "git-remote-http", whole: true, refused: 128, shows: "403"}
	cloned, pushed := one, one
	cloned.name, cloned.page, cloned.command = "git clone", "/team/project.git", script(clone)
	pushed.name, pushed.page, pushed.command = "git push", "/team/pushed.git", script(push)
	return []client{cloned, pushed}
}

// compiledClients returns the test's own programs.
func compiledClients() []client {
	return []client{
		{name: "Go net/http", exe: "agent", command: func(t testing.TB, method, address string) []string {
			return []string{shop.agent(t), "get", "-X", method, address}
		}},
		{name: "Go gRPC", exe: "grpcget", page: "/grpc.said/Go", held: "/grpc.held", refused: 1, shows: "PermissionDenied",
			command: func(t testing.TB, _, address string) []string {
				return []string{shop.grpcClient(t), address}
			}},
		{name: "static musl", exe: "client-musl", scheme: "http", command: func(t testing.TB, method, address string) []string {
			u := parse(t, address)
			return []string{shop.muslClient(t), strings.ToLower(method), u.Host, u.Path}
		}},
	}
}
