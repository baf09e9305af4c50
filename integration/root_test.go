package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// packagesHost is where apt finds the package.
const packagesHost = "packages.test"

// rootScript does as root what root does in a container: installs a package by
// HTTP, upgrades it from a folder and by dpkg alone, and takes it off. Then it
// makes users, gives files away and becomes others, who are held as root is.
const rootScript = `set -e
export DEBIAN_FRONTEND=noninteractive
apt() {
	from=$1; shift
	printf 'deb [trusted=yes] %s ./\n' "$from" > sources.list
	apt-get -qq -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Acquire::http::Proxy=DIRECT "$@" >> apt.log 2>&1 || { cat apt.log >&2; exit 1; }
}
apt http://packages.test update
apt http://packages.test install -y boundary-greeting
boundary-greeting
stat -c '%A %U' /usr/bin/boundary-greeting
stat -c '%A %U:%G' /var/lib/boundary-greeting
apt "file:$1" update
apt "file:$1" install -y boundary-greeting
boundary-greeting
cat /var/lib/boundary-greeting/before
dpkg -i "$2" >> apt.log 2>&1
boundary-greeting

useradd --create-home --shell /bin/sh boundary-guest
usermod --append --groups boundary-greeter boundary-guest
id -Gn boundary-guest
touch file
chown boundary-guest:boundary-greeter file
chmod u+s file
stat -c '%A %U:%G' file
get='curl -sS -o /dev/null -w %{http_code}\\n'
su boundary-guest -c "id -un; $get http://packages.test/Packages; $get http://attacker-logger.com/"
setpriv --reuid boundary-greeter --regid boundary-greeter --clear-groups sh -c \
	"id -un; $get http://packages.test/Packages; $get http://attacker-logger.com/"
userdel --remove boundary-guest 2>/dev/null # it has no mail
apt "file:$1" purge -y boundary-greeting
test ! -e /var/lib/boundary-greeting
test ! -e /etc/boundary-greeting.conf
! id boundary-greeter 2>/dev/null
echo clean
`

// rootSays is what it prints.
const rootSays = `hello from 1.0
-rwsr-xr-x root
drwxr-s--- boundary-greeter:boundary-greeter
hello from 2.0
1.0
hello from 3.0
boundary-guest boundary-greeter
-rwSr--r-- boundary-guest:boundary-greeter
boundary-guest
200
403
boundary-greeter
200
403
clean
`

// TestRoot has root do what package managers and start-up scripts do, in a
// copy of the system: root on the machine, and root in a container of
// Docker's.
func TestRoot(t *testing.T) {
	requireRoot(t)
	outside := startOrigin(t, origin.Options{Handler: http.FileServer(http.Dir(debianRepository(t, "1.0")))})
	second, third := debianRepository(t, "2.0"), debianRepository(t, "3.0")
	policy := "allow \"packages\" {\n  hosts   = [\"packages.test\"]\n  methods = [\"GET\"]\n}\n" +
		outside.Upstream(caFile(t, outside), packagesHost, deniedHost)
	for _, as := range []mode{asRoot, dockerRoot} {
		t.Run(string(as), func(t *testing.T) {
			dir := as.dir(t)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatalf("open folder to others: %v", err)
			}
			third := filepath.Join(third, packageName+"_3.0_all.deb")
			end := session{
				as: as, dir: dir, policy: policy, place: newSystem(t, as), command: []string{"sh", "-c", rootScript, "sh", second, third},
			}.run(t)
			if diff := cmp.Diff(rootSays, end.stdout); diff != "" || end.status != 0 {
				t.Errorf("root's work, status %d (-want +got):\n%s", end.status, diff)
			}
			if seen := outside.Requests(deniedHost); len(seen) > 0 {
				t.Errorf("the attacker saw %v", seen)
			}
			if mentions(end.records.of("refused", ""), "unreadable-process") {
				t.Errorf("a process could not be read")
			}
			checkUsers(t, end.records)
		})
	}
	if _, err := os.Stat("/usr/bin/boundary-greeting"); err == nil {
		t.Errorf("the package was installed on the machine itself")
	}
}

// checkUsers checks that what was denied is recorded for the user who tried.
func checkUsers(t *testing.T, all records) {
	t.Helper()
	denied := all.requests(deniedHost).decided("deny")
	if len(denied) != 2 {
		t.Fatalf("%d denials are recorded, want 2", len(denied))
	}
	users := map[int]bool{}
	for _, one := range denied {
		users[one.Process.UID] = true
	}
	if len(users) != 2 || users[0] {
		t.Errorf("the denials are recorded for the users %v, want two that are not root", users)
	}
}
