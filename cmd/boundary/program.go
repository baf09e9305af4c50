package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"boundary/supervisor"
)

// findProgram looks COMMAND up as execvp(3) does, in the PATH of the agent's
// environment, so that one that can't be run is said before anything starts.
func findProgram(name string, env []string) (string, error) {
	if name == "" {
		return "", &exitError{exitNotFound, errors.New("the command's name is empty")}
	}
	if strings.Contains(name, "/") {
		return name, runnable(name, name)
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	var denied error
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		file := filepath.Join(dir, name)
		if !strings.Contains(file, "/") {
			file = "./" + file
		}
		err := runnable(name, file)
		if err == nil {
			return file, nil
		}
		var exit *exitError
		if errors.As(err, &exit) && exit.status == exitNotExecutable {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &exitError{exitNotFound, fmt.Errorf("%s: command not found", name)}
}

// runnable says whether a file can be executed, as far as can be said without
// executing it.
func runnable(name, file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return &exitError{exitNotFound, fmt.Errorf("%s: no such file", name)}
	case err != nil:
		return &exitError{exitNotExecutable, fmt.Errorf("%s: %w", name, errors.Unwrap(err))}
	case info.IsDir():
		return &exitError{exitNotExecutable, fmt.Errorf("%s: is a directory", name)}
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return &exitError{exitNotExecutable, fmt.Errorf("%s: not executable: %w", name, err)}
	}
	return nil
}

// account is the user as which the agent runs; the zero value is the caller.
type account struct {
	credential *supervisor.Credential
	user       *user.User
}

func lookupUser(name string) (account, error) {
	if name == "" {
		return account{}, nil
	}
	if os.Geteuid() != 0 {
		return account{}, fmt.Errorf("--user %s: only root can run a command as another user", name)
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return account{}, fmt.Errorf("--user: no user %q", name)
		}
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return account{}, fmt.Errorf("--user %s: %w", name, err)
	}
	cred := &supervisor.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("--user %s: %w", name, err)
	}
	for _, text := range groups {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(n))
		}
	}
	return account{cred, u}, nil
}

// environ is the caller's environment with the account's own home and name.
func (a account) environ(env []string) []string {
	if a.user == nil {
		return env
	}
	out := make([]string, 0, len(env)+3)
	for _, kv := range env {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME":
		default:
			out = append(out, kv)
		}
	}
	return append(out, "HOME="+a.user.HomeDir, "USER="+a.user.Username, "LOGNAME="+a.user.Username)
}

// defaultPolicy finds the policy where none was named; none at all is no error.
func defaultPolicy() ([]string, error) {
	candidates := []string{"boundary.hcl"}
	if dir, err := os.UserConfigDir(); err == nil {
		candidates = append(candidates, filepath.Join(dir, "boundary", "policy.hcl"))
	}
	candidates = append(candidates, "/etc/boundary/policy.hcl")
	for _, file := range candidates {
		_, err := os.Stat(file)
		if err == nil {
			return []string{file}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			// It may be there and say something: not to be passed over.
			return nil, fmt.Errorf("look for policy: %w", err)
		}
	}
	return nil, nil
}
