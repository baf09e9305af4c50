package integration

import "testing"

const (
	// tldrHost and tldrPath are compiled into tldr.
	tldrHost = "tldr.sh"
	tldrPath = "/assets/tldr.zip"
)

// installers returns the programs that install a package from a registry, or
// read of one, whatever the method.
func installers() []client {
	return []client{
		installer("npm install", "node", "/npm/", 1, `"$1" install --no-audit --no-fund --no-update-notifier --fetch-retries=0 --loglevel=http --registry="$2" greeting || exit
exec cat node_modules/greeting/index.js`, "npm"),
		// pip says what the index answered only when it is asked to say much.
		installer("pip install", "python3", "/pip/", 1, `"$1" -m pip -vv install --no-cache-dir --no-warn-script-location --target=packages --index-url="$2" greeting || exit
exec cat packages/greeting.py`, "python3"),
		aptClient(),
	}
}

// installer returns a client that is a shell script, to which the program and
// the address are given.
func installer(name, exe, page string, refused int, text, by string) client {
	return client{
		name: name, exe: exe, page: page, whole: true, refused: refused, shows: "403",
		command: func(t testing.TB, _, address string) []string {
			return []string{program(t, "sh"), "-c", text, "sh", program(t, by), address}
		},
	}
}

// aptClient returns apt-get, with all that it knows and keeps in the working
// folder, so that anybody can use it.
func aptClient() client {
	c := installer("apt-get update", "http", "/debian/", 100, `set -e
mkdir -p state/lists/partial cache/archives/partial
touch status
printf 'deb [trusted=yes] %s ./\n' "$2" > sources.list
options="-o Dir::State=$PWD/state -o Dir::State::status=$PWD/status -o Dir::Cache=$PWD/cache
-o Dir::Etc::SourceList=$PWD/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::Log=$PWD
-o APT::Sandbox::User=root -o Acquire::http::Proxy=DIRECT"
"$1" $options update
apt-cache $options show greeting`, "apt-get")
	c.scheme = "http"
	return c
}
