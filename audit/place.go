package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// rootDir is where the logs of root's sessions are.
const rootDir = "/var/log/boundary"

// errNoHome says that there is no place for a log in the environment.
var errNoHome = errors.New("neither XDG_STATE_HOME nor HOME names a directory; name a file with --audit")

// DefaultDir returns the folder of the logs of a user: /var/log/boundary for root, whatever the environment says, else
// boundary in $XDG_STATE_HOME, or in $HOME/.local/state. A variable that is not an absolute path counts as unset (XDG
// Base Directory Specification). getenv is [os.Getenv] or like it.
func DefaultDir(uid int, getenv func(string) string) (string, error) {
	if uid == 0 {
		return rootDir, nil
	}
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "boundary"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "boundary"), nil
	}
	return "", fmt.Errorf("choose audit log: %w", errNoHome)
}

// DefaultPath returns the file for a session that starts now, in [DefaultDir], as 2006-01-02T15-04-05Z-SESSION.jsonl in
// UTC: so the names of a folder sort by time.
func DefaultPath(session string, uid int, getenv func(string) string) (string, error) {
	return pathAt(time.Now(), session, uid, getenv)
}

func pathAt(now time.Time, session string, uid int, getenv func(string) string) (string, error) {
	dir, err := DefaultDir(uid, getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, now.UTC().Format("2006-01-02T15-04-05Z")+"-"+session+".jsonl"), nil
}
