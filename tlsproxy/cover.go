package tlsproxy

import (
	"fmt"
	"os"
	"path/filepath"
)

// Cover is a file or folder of the system's that is to be hidden from the agent
// by one that Write made.
type Cover struct {
	Made, Over string
}

const coverDirName = "system"

// Covering is what is needed to write covers. It can be sent to another process.
type Covering struct {
	// Dir is an empty folder for them. Some three hundred files are made in
	// it, so a file system in memory does best there.
	Dir string
	// Bundle and Java are the files that the session has made. Java is empty
	// where the user's own store is in force.
	Bundle, Java string
	PEM          []byte // the authority's certificate
	Hash         string // and its name, as OpenSSL looks it up
	// Java is looked for on this PATH and in this JAVA_HOME.
	Path, JavaHome string
}

// Covering makes an empty folder below the directory of t, and returns what is
// needed to write covers there. env is the agent's environment.
func (t *Trust) Covering(authority *Authority, env []string) (*Covering, error) {
	hash, err := subjectHash(authority.cert)
	if err != nil {
		return nil, err
	}
	e := newEnviron(env)
	c := &Covering{
		Dir: filepath.Join(filepath.Dir(t.Bundle), coverDirName), Bundle: t.Bundle, PEM: authority.PEM(), Hash: hash,
		Path: e["PATH"], JavaHome: e["JAVA_HOME"],
	}
	if _, err := os.Stat(t.java); err == nil {
		c.Java = t.java
	}
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder of covers: %w", err)
	}
	return c, nil
}

// coverFolders are those of the system's store that are covered as a whole, so
// that what the agent changes there (a package manager's hooks put new files in
// the place of old ones) goes to the copy. Other files are covered one by one.
func coverFolders() []string {
	return []string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem"}
}

// Write makes copies of the system's own certificate files, with the session
// authority added. Programs that read no variable (GnuTLS, what links libcurl,
// Java whose options were replaced) find the authority where the copies lie over
// the system's.
func (c *Covering) Write() ([]Cover, error) {
	w := &coverWriter{Covering: *c}
	w.replace = w.replacements()
	for _, folder := range coverFolders() {
		if err := w.coverFolder(folder); err != nil {
			return nil, err
		}
	}
	for over, made := range w.replace {
		if !w.covered(over) {
			w.covers = append(w.covers, Cover{Made: made, Over: over})
		}
	}
	return w.covers, nil
}
