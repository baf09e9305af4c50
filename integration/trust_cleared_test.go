package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// clearing is a way to start a program with an environment that somebody made
// by hand.
type clearing struct {
	name string
	// wrap returns the command line that runs argv so.
	wrap func(t *testing.T, argv ...string) []string
}

func clearings() []clearing {
	const spawn = `require("child_process").execFileSync(process.argv[1], process.argv.slice(2), {env: {}, stdio: "inherit"})`
	return []clearing{
		{"env -i", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "env"), "-i"}, argv...)
		}},
		{"env -i with a path", func(t *testing.T, argv ...string) []string {
			// execvp(3) tries each folder: execs that fail come first.
			argv[0] = filepath.Base(argv[0])
			return append([]string{program(t, "env"), "-i", "PATH=/nonexistent:/var/empty:/usr/local/bin:/usr/bin:/bin"}, argv...)
		}},
		{"exec in a shell", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "sh"), "-c", `exec env -i "$@"`, "sh"}, argv...)
		}},
		{"one after the other", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "env"), "-i", program(t, "sh"), "-c", `env -i sh -c 'env -i "$@"' sh "$@"`, "sh"}, argv...)
		}},
		{"python subprocess", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "python3"), "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], env={}).returncode)"}, argv...)
		}},
		{"python posix_spawn", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "python3"), "-c", "import os, sys; p = os.posix_spawn(sys.argv[1], sys.argv[1:], {}); sys.exit(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))"}, argv...)
		}},
		{"python fexecve", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "python3"), "-c", "import os, sys; os.execve(os.open(sys.argv[1], os.O_RDONLY), sys.argv[1:], {})"}, argv...)
		}},
		{"node child_process", func(t *testing.T, argv ...string) []string {
			return append([]string{program(t, "node"), "-e", spawn}, argv...)
		}},
		{"Go os/exec", func(t *testing.T, argv ...string) []string {
			return append([]string{shop.agent(t), "bare"}, argv...)
		}},
	}
}

// TestTrustSurvivesClearedEnvironment has programs that were started with
// nothing, or nearly nothing, in their environment make requests.
func TestTrustSurvivesClearedEnvironment(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := `allow "github-read" {
  hosts   = ["api.github.com"]
  methods = ["GET"]
}
` + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	const path = "/repos/x/y/pulls/1"
	for _, one := range clearings() {
		t.Run(one.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, policy: policy, command: one.wrap(t, curl(t, "GET", "https://"+allowedHost+path)...)}.run(t)
				if end.status != 0 || !strings.Contains(end.stdout, marker) {
					t.Errorf("curl did not get its page")
				}
				end = session{as: as, policy: policy, command: one.wrap(t, curl(t, "POST", "https://"+deniedHost+"/")...)}.run(t)
				if !strings.Contains(end.stdout, blocked) {
					t.Errorf("curl was not told why")
				}
				if len(end.records.requests(deniedHost).decided("deny")) == 0 {
					t.Errorf("no record of the denial")
				}
			})
		})
	}
	if seen := outside.Requests(deniedHost); len(seen) > 0 {
		t.Errorf("the origin saw %v", seen)
	}
}

// TestClearedPrograms has programs of other kinds than curl, which starts up
// by the C library's dynamic loader, run with an empty environment.
func TestClearedPrograms(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"github-read\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost)
	address := "https://" + allowedHost + "/json"
	commands := map[string][]string{
		"static Go":  {shop.agent(t), "get", address},
		"node":       node(t, "fetch.mjs", "GET", address),
		"python":     python(t, "urllib_client.py", "GET", address),
		"Java":       java(t, "GET", address),
		"a script":   {asUserScript(t, "#!"+program(t, "python3")+"\nimport urllib.request as r\nprint(r.urlopen('"+address+"').read())\n")},
		"musl":       {shop.muslClient(t), "get", allowedHost, "/json"},
		"git":        {program(t, "git"), "ls-remote", "https://" + allowedHost + "/none.git"},
		"wget":       {program(t, "wget"), "-q", "-O", "-", address},
		"many words": append(curl(t, "GET", address), strings.Fields(strings.Repeat("-s ", 2000))...),
	}
	for name, argv := range commands {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				before := len(outside.Requests(allowedHost))
				end := session{as: as, policy: policy, command: append([]string{program(t, "env"), "-i"}, argv...)}.run(t)
				if len(outside.Requests(allowedHost)) == before {
					t.Errorf("the origin saw no request")
				}
				if name != "git" && !strings.Contains(end.stdout, marker) { // it is no repository
					t.Errorf("the client did not get its page")
				}
			})
		})
	}
}

// asUserScript makes an executable file that every user can run.
func asUserScript(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(asUser.dir(t), "script")
	asUser.write(t, path, text)
	for _, file := range []string{path, filepath.Dir(path)} {
		if err := os.Chmod(file, 0o755); err != nil {
			t.Fatalf("open to others: %v", err)
		}
	}
	return path
}

// TestEnvironmentOfPrograms shows what is put back, and that all else stays as
// it was given.
func TestEnvironmentOfPrograms(t *testing.T) {
	env := program(t, "env")
	tests := []struct {
		name    string
		command []string
		has     []string // lines, or beginnings of lines
		lacks   []string
	}{
		{"nothing", []string{env, "-i", env}, []string{"SSL_CERT_FILE=/", "NODE_EXTRA_CA_CERTS=/", "SSL_CERT_DIR=/", "JAVA_TOOL_OPTIONS=-D"}, []string{"HOME=", "PATH="}},
		{"one given", []string{env, "-i", "A=1", "SSL_CERT_FILE=mine", env}, []string{"A=1\n", "SSL_CERT_FILE=mine\n", "PIP_CERT=/"}, []string{"SSL_CERT_FILE=/"}},
		{"one set to nothing", []string{env, "-i", "SSL_CERT_FILE=", env}, []string{"SSL_CERT_FILE=\n", "PIP_CERT=/"}, []string{"SSL_CERT_FILE=/"}},
		{"an ancestor's choice", []string{env, "SSL_CERT_FILE=mine", program(t, "sh"), "-c", "env"}, []string{"SSL_CERT_FILE=mine\n"}, []string{"SSL_CERT_FILE=/"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, policy: denyAll, command: test.command}.run(t)
				if end.status != 0 {
					t.Errorf("it ended with %d", end.status)
				}
				for _, line := range test.has {
					if !strings.Contains("\n"+end.stdout, "\n"+line) {
						t.Errorf("the environment lacks %q", line)
					}
				}
				for _, line := range test.lacks {
					if strings.Contains("\n"+end.stdout, "\n"+line) {
						t.Errorf("the environment has %q", line)
					}
				}
			})
		})
	}
}

// TestManyClearedEnvironments starts programs from many threads at once: each
// runs, and ends as it should.
func TestManyClearedEnvironments(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		agent := shop.agent(t)
		end := session{as: as, policy: denyAll, command: []string{agent, "bare-many", program(t, "sh"), "-c", "echo $A ${SSL_CERT_FILE##*/}"}}.run(t)
		if end.status != 0 || end.stdout != "800 ca-bundle.pem ok\n" {
			t.Errorf("got %q", end.stdout)
		}
	})
}

// TestDebuggerKeepsItsProgram shows that an exec which somebody traces already
// is his alone.
func TestDebuggerKeepsItsProgram(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: []string{shop.agent(t), "traced", program(t, "sh"), "-c", "exit 7"}}.run(t)
		if end.stdout != "stopped by trace/breakpoint trap\nended with 7\n" {
			t.Errorf("got %q", end.stdout)
		}
	})
}

// TestClearedOnOlderKernel shows the same where a trapped call that waits can be
// interrupted, as before Linux 5.19.
func TestClearedOnOlderKernel(t *testing.T) {
	for _, as := range []mode{asUser, asRoot} {
		if as == asRoot && os.Getuid() != 0 {
			continue
		}
		t.Run(string(as), func(t *testing.T) {
			wrap := []string{shop.confine(t), "no-killable"}
			command := []string{shop.agent(t), "bare-many", program(t, "sh"), "-c", "echo ${SSL_CERT_FILE##*/}"}
			end := session{as: as, policy: denyAll, wrap: wrap, command: command}.run(t)
			if end.stdout != "800 ca-bundle.pem ok\n" {
				t.Errorf("got %q", end.stdout)
			}
		})
	}
}
