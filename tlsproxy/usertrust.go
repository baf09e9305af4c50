package tlsproxy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// userFile is a configuration file of the user that a variable can replace.
type userFile struct {
	data []byte
	mode os.FileMode // of the copy: the user's file may hold passwords
}

// readUserFile reads a file that a program would read. A file that is not there
// is empty; one that can't be read is said.
func (w *trustWriter) readUserFile(path string) userFile {
	file := userFile{mode: 0o644}
	if path == "" {
		return file
	}
	data, info, err := readRegular(path)
	switch {
	case err == nil:
		file.data, file.mode = data, info.Mode().Perm()|0o600
	case !errors.Is(err, os.ErrNotExist):
		w.warn("A configuration file is not in force in the session: %v.", err)
	}
	return file
}

// extend returns the file with a line at its end.
func (f userFile) extend(line string) []byte {
	data := bytes.Clone(f.data)
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	return append(data, line+"\n"...)
}

// readWget reads the user's file for wget, and the certificates that it names.
// wget reads the file that WGETRC names instead of ~/.wgetrc, and the system's
// in any case.
func (w *trustWriter) readWget() {
	path := w.env["WGETRC"]
	if home := w.env["HOME"]; path == "" && home != "" {
		path = filepath.Join(home, ".wgetrc")
	}
	w.wget = w.readUserFile(path)
	for line := range strings.Lines(string(w.wget.data)) {
		name, value, ok := strings.Cut(line, "=")
		// wget takes names in any case, and with or without these two.
		name = strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(strings.TrimSpace(name)))
		if value = strings.TrimSpace(value); ok && name == "cacertificate" && value != "" {
			w.addRoots(path, value)
		}
	}
}

// writeWget writes the user's file for wget with the bundle added. wget built
// with GnuTLS reads no variable of OpenSSL's.
func (w *trustWriter) writeWget() error {
	data := w.wget.extend("ca_certificate = " + w.path(bundleName))
	if err := writeFile(w.path(wgetName), data, w.wget.mode); err != nil {
		return err
	}
	w.set["WGETRC"] = w.path(wgetName)
	return nil
}

// aptOption is the file of roots for apt's https method, apt-transport-https(1).
const aptOption = "Acquire::https::CAInfo"

// readApt reads the file that APT_CONFIG names, and the certificates that it
// names.
func (w *trustWriter) readApt() {
	path := w.env["APT_CONFIG"]
	w.apt = w.readUserFile(path)
	for line := range strings.Lines(string(w.apt.data)) {
		line = strings.TrimSpace(line)
		if len(line) < len(aptOption) || !strings.EqualFold(line[:len(aptOption)], aptOption) {
			continue
		}
		value := strings.Trim(line[len(aptOption):], " \t;\"")
		if value != "" {
			w.addRoots(path, value)
		}
	}
}

// writeApt writes the user's file for apt with the bundle added. apt reads it
// beside /etc/apt, not instead (apt.conf(5)).
func (w *trustWriter) writeApt() error {
	data := w.apt.extend(aptOption + ` "` + w.path(bundleName) + `";`)
	if err := writeFile(w.path(aptName), data, w.apt.mode); err != nil {
		return err
	}
	w.set["APT_CONFIG"] = w.path(aptName)
	return nil
}

// writePHP makes a folder with a file of settings that PHP reads after its own.
// Its curl extension takes no roots from a variable, but where to look for
// settings it does: an empty part of the list stands for the built-in folder
// (php.net, "The configuration file").
func (w *trustWriter) writePHP() error {
	dir := w.path(phpDirName)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make folder for PHP: %w", err)
	}
	settings := fmt.Sprintf("openssl.cafile = %q\ncurl.cainfo = %q\n", w.path(bundleName), w.path(bundleName))
	if err := writeFile(filepath.Join(dir, "boundary.ini"), []byte(settings), 0o644); err != nil {
		return err
	}
	w.set["PHP_INI_SCAN_DIR"] = w.env["PHP_INI_SCAN_DIR"] + ":" + dir
	return nil
}
