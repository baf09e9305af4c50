package audit

import (
	"path"
	"slices"
	"strings"
)

// mask stands for what is not recorded.
const mask = "***"

// MaskArgv returns a command line with what looks like a credential replaced by "***". It never changes argv, and
// returns argv itself where there is nothing to mask. Masking what is masked changes nothing.
//
// Masked are:
//   - the value of an option or variable with a telling name, in the same argument or the next one: --token=x,
//     --password x, -Dauth.secret=x, FOO_API_KEY=x, also within a longer text such as a shell script or JSON;
//   - headers that authenticate: Authorization and its kind, keeping the scheme, Cookie, X-Api-Key;
//   - the password in user:password, after -u, -U, --user and --proxy-user, and in a URL;
//   - what has the shape of a well-known token or private key, wherever it stands;
//   - the short options for passwords of a few programs (curl, mysql, sshpass, redis-cli, docker login and some more).
//
// Names and values are guessed from their looks, so both mistakes are possible. In doubt it masks: `-u a:b` of a program
// that means something else by it loses the b, but numbers as in `-u 1000:1000` stay. A secret that is a bare argument
// of no known shape is not found.
func MaskArgv(argv []string) []string {
	out := argv
	var m argvMasker
	for i, arg := range argv {
		masked := m.next(arg)
		if masked == arg {
			continue
		}
		if &out[0] == &argv[0] {
			out = slices.Clone(argv)
		}
		out[i] = masked
	}
	return out
}

// expectation is what the argument after an option is.
type expectation int

const (
	expectAny expectation = iota
	expectSecret
	expectUserPass
	expectCookie
	// expectScript is a text for a shell, in which a value ends at a blank.
	expectScript
	// expectAttached is a secret that only ever stands in the same argument.
	expectAttached
)

// argvMasker masks the arguments of one command line one after the other.
type argvMasker struct {
	started bool
	program string // base name of the first argument
	login   bool   // an argument "login" was seen
	shell   bool   // an argument that names a shell was seen
	expect  expectation
}

// next returns the next argument, masked.
func (m *argvMasker) next(arg string) string {
	if !m.started {
		m.started = true
		m.program = path.Base(arg)
		m.shell = isShell(m.program)
		return maskText(arg)
	}
	expected := m.expect
	m.expect = expectAny
	if expected == expectScript {
		return maskText(arg)
	}
	if expected != expectAny && !strings.HasPrefix(arg, "--") && arg != "-" {
		if strings.HasPrefix(arg, "-") {
			// Perhaps a value, perhaps an option: then it may announce a secret itself.
			m.expect = m.announced(arg)
		}
		switch expected {
		case expectSecret:
			return maskValue(arg)
		case expectUserPass:
			return maskUserPass(arg)
		case expectCookie:
			if strings.Contains(arg, "=") {
				return mask
			}
		}
		return maskText(arg)
	}
	m.login = m.login || arg == "login"
	m.shell = m.shell || isShell(path.Base(arg))
	if masked, ok := m.attached(arg); ok {
		return masked
	}
	m.expect = m.announced(arg)
	return maskText(arg)
}

// attached masks the value that stands in the same argument as its name, up to the end of the argument.
func (m *argvMasker) attached(arg string) (string, bool) {
	if name, value, ok := strings.Cut(arg, "="); ok && isName(name) {
		switch bare := strings.TrimLeft(name, "-"); {
		case credentialName(bare):
			return name + "=" + maskValue(value), true
		case len(bare) < len(name) && userOption(bare):
			return name + "=" + maskUserPass(value), true
		}
	}
	if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
		return m.attachedShort(arg)
	}
	return "", false
}

// attachedShort masks the value behind an option of one letter, as in -pVALUE.
func (m *argvMasker) attachedShort(arg string) (string, bool) {
	n := 2
	if m.program == "curl" {
		n = 1 + curlCluster(arg[1:])
	}
	if n >= len(arg) {
		return "", false
	}
	option, value := arg[:n], arg[n:]
	switch e := m.shortOption(option[n-1]); {
	case e == expectSecret, e == expectAttached, e == expectCookie && strings.Contains(value, "="):
		return option + mask, true
	case e == expectUserPass:
		return option + maskUserPass(value), true
	case option == "-H":
		return option + maskText(value), true
	}
	return "", false
}

// announced tells what the argument after this one is.
func (m *argvMasker) announced(arg string) expectation {
	if bare := strings.TrimLeft(arg, "-"); len(bare) < len(arg) && isName(bare) {
		switch {
		case userOption(bare):
			return expectUserPass
		case len(bare) > 1 && credentialName(bare):
			return expectSecret
		}
	}
	if len(arg) > 1 && arg[0] == '-' && arg[1] != '-' {
		if m.shell && arg[len(arg)-1] == 'c' {
			return expectScript
		}
		n := 1
		if m.program == "curl" {
			n = curlCluster(arg[1:])
		}
		if e := m.shortOption(arg[n]); n == len(arg)-1 && e != expectAttached {
			return e
		}
	}
	// npm config set //registry/:_authToken VALUE, aws configure set aws_secret_access_key VALUE
	if at := strings.LastIndexByte(arg, ':'); strings.HasPrefix(arg[at+1:], "_") && credentialName(arg[at+1:]) ||
		arg == "aws_secret_access_key" || arg == "aws_session_token" {
		return expectSecret
	}
	return expectAny
}

// shortOption tells what the program's option of one letter takes.
func (m *argvMasker) shortOption(letter byte) expectation {
	switch m.program {
	case "curl":
		switch letter {
		case 'u', 'U':
			return expectUserPass
		case 'b':
			return expectCookie
		}
	case "http", "https", "xh", "xhs":
		if letter == 'a' {
			return expectUserPass
		}
	case "mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin":
		// Only attached: a lone -p asks for it.
		if letter == 'p' {
			return expectAttached
		}
	case "sshpass", "mongosh", "mongo":
		if letter == 'p' {
			return expectSecret
		}
	case "redis-cli":
		if letter == 'a' {
			return expectSecret
		}
	case "zip", "unzip":
		if letter == 'P' {
			return expectSecret
		}
	}
	if letter == 'p' && m.login {
		return expectSecret
	}
	return expectAny
}

// curlCluster returns the length of a cluster of curl's short options up to and with the first that may take a value,
// as in -sSu.
func curlCluster(s string) int {
	const flags = "#012346afgijklnpqsvBGIJLMNORSV"
	for i := range len(s) {
		if strings.IndexByte(flags, s[i]) < 0 {
			return i + 1
		}
	}
	return len(s)
}

func isShell(program string) bool {
	switch strings.TrimPrefix(program, "-") {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish":
		return true
	}
	return false
}

func userOption(name string) bool {
	return name == "u" || name == "U" || name == "user" || name == "proxy-user"
}

// maskUserPass masks the password in user:password. Numbers, as in a uid:gid, and a lone user stay.
func maskUserPass(s string) string {
	if strings.Contains(s, "://") {
		return maskText(s)
	}
	user, pass, ok := strings.Cut(s, ":")
	if !ok || pass == "" || isNumber(user) && isNumber(pass) {
		return maskText(s)
	}
	return maskText(user) + ":" + mask
}

// maskValue masks the whole of a value, unless it is a word that hides nothing.
func maskValue(s string) string {
	if plainWord(s) {
		return s
	}
	return mask
}

// plainWord tells whether a value is empty or one of the words that stand for no value at all.
func plainWord(s string) bool {
	switch s {
	case "", "true", "false", "null", "none", "None", "True", "False", "yes", "no":
		return true
	}
	return false
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
