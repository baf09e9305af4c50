package tlsproxy

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

// Chromium reads no file of the system's and no variable: its roots are built
// in, and beside them it takes those of the NSS database in the user's home,
// which is the user's. What it does take is a switch that names the key of
// servers to trust (services/network/public/cpp/network_switches.cc).
const browserSwitch = "--ignore-certificate-errors-spki-list="

// BrowserArgument returns the argument that makes Chromium trust the session:
// the hash of the key that all leaves share, as RFC 7469 §2.4 has it. No server
// outside can have that key.
func (a *Authority) BrowserArgument() (string, error) {
	key, err := a.leafKey()
	if err != nil {
		return "", err
	}
	spki, err := marshalPublic(key.Public())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(spki)
	return browserSwitch + base64.StdEncoding.EncodeToString(sum[:]), nil
}

// IsBrowser says whether an executable of this name, without its folder, is a
// Chromium of some kind.
func IsBrowser(name string) bool {
	return slices.Contains([]string{
		"chrome", "chromium", "chromium-browser", "chrome-headless-shell", "headless_shell", "msedge", "brave",
	}, name)
}
