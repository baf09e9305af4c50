package integration

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The package that the tests install does what packages do to a system: it
// has a file that is set-user-id and one that is configuration, and its
// scripts make a user and give him a folder.
const (
	packageName = "boundary-greeting"
	packageUser = "boundary-greeter"

	packageInstalled = `#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
getent passwd boundary-greeter >/dev/null || useradd --system --user-group --no-create-home boundary-greeter
install -d -m 2750 /var/lib/boundary-greeting
echo "$2" > /var/lib/boundary-greeting/before
chown -R boundary-greeter:boundary-greeter /var/lib/boundary-greeting
`
	packageRemoved = `#!/bin/sh
set -e
[ "$1" = purge ] || exit 0
rm -rf /var/lib/boundary-greeting
userdel boundary-greeter
`
)

// debianRepository makes a folder from which apt installs the package.
func debianRepository(t *testing.T, version string) string {
	t.Helper()
	dir := asRoot.dir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open folder to others: %v", err)
	}
	control := fmt.Sprintf(`Package: %s
Version: %s
Architecture: all
Maintainer: Tests <tests@localhost>
Description: a greeting
`, packageName, version)
	file := debianPackage(t, dir, control, version)
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatalf("read package: %v", err)
	}
	// An entry is the package's own description, and where it is.
	entry := fmt.Sprintf("%sFilename: ./%s\nSize: %d\nSHA256: %x\n", control, file, len(text), sha256.Sum256(text))
	if err := os.WriteFile(filepath.Join(dir, "Packages"), []byte(entry), 0o644); err != nil {
		t.Fatalf("write list of packages: %v", err)
	}
	return dir
}

// debianPackage makes the package in dir and returns its file's name.
func debianPackage(t *testing.T, dir, control, version string) string {
	t.Helper()
	tree := t.TempDir()
	files := []struct {
		path, text string
		mode       os.FileMode
	}{
		{"DEBIAN/control", control, 0o644},
		{"DEBIAN/conffiles", "/etc/boundary-greeting.conf\n", 0o644},
		{"DEBIAN/postinst", packageInstalled, 0o755},
		{"DEBIAN/postrm", packageRemoved, 0o755},
		{"etc/boundary-greeting.conf", "greeting = hello\n", 0o644},
		{"usr/bin/boundary-greeting", "#!/bin/sh\necho hello from " + version + "\n", 0o755 | os.ModeSetuid},
	}
	for _, file := range files {
		path := filepath.Join(tree, file.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatalf("make folder: %v", err)
		}
		if err := os.WriteFile(path, []byte(file.text), 0o644); err != nil {
			t.Fatalf("write file: %v", err)
		}
		if err := os.Chmod(path, file.mode); err != nil {
			t.Fatalf("set mode: %v", err)
		}
	}
	if err := os.Chmod(tree, 0o755); err != nil {
		t.Fatalf("set mode: %v", err)
	}
	name := strings.Join([]string{packageName, version, "all.deb"}, "_")
	if err := tool(dir, nil, program(t, "dpkg-deb"), "--root-owner-group", "--build", tree, name); err != nil {
		t.Fatalf("make package: %v", err)
	}
	return name
}
