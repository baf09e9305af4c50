package supervisor

import (
	"errors"
	"os"
)

// Trust is one way in which programs come to trust the session's certificates.
type Trust struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
	// Covers are the programs that it is for.
	Covers string `json:"covers"`
	// Why is the reason where it is off, Instead what a person can do then.
	Why     string `json:"why,omitempty"`
	Instead string `json:"instead,omitempty"`
}

// errNoCover says why the system's files can't be covered.
var errNoCover = errors.New("only root with a mount namespace of its own (CAP_SYS_ADMIN) can cover files")

// trust lists the ways on this machine. traced says whether an exec can be
// followed.
func (m machine) trust(traced error) []Trust {
	files := errNoCover
	if os.Geteuid() == 0 && m.filesOpen && m.noFiles == nil {
		files = nil
	}
	const (
		itself = "set the variables in what clears them"
		root   = "as root, exec --install-ca; else give the program the file that SSL_CERT_FILE names"
	)
	return []Trust{
		trust("variables", nil, "", "what reads SSL_CERT_FILE or a variable of its own: OpenSSL, Go, rustls with native roots, "+
			"Node, Deno, Bun, npm, yarn, pnpm, Python, Ruby, PHP, Perl, Java, .NET, curl, wget, git, cargo, apt, AWS, gcloud, gRPC"),
		trust("cleared-environment", traced, itself, "the same programs when started with an empty environment (env -i), or with one that lacks a variable"),
		trust("chromium", traced, "start it with --ignore-certificate-errors-spki-list", "Chromium, which has roots of its own"),
		trust("system-files", files, root, "what reads the system's own files alone: GnuTLS, libcurl in a program that names no roots"),
	}
}

func trust(name string, err error, instead, covers string) Trust {
	t := Trust{Name: name, On: err == nil, Covers: covers}
	if err != nil {
		t.Why, t.Instead = err.Error(), instead
	}
	return t
}
