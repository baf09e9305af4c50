package tlsproxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

const (
	// javaOptions is read by every JVM at its start.
	javaOptions = "JAVA_TOOL_OPTIONS"
	// javaPassword is Java's own default. It protects nothing: the store
	// holds certificates only.
	javaPassword = "changeit"

	javaTrustStore    = "-Djavax.net.ssl.trustStore="
	javaTrustPassword = "-Djavax.net.ssl.trustStorePassword="
	javaTrustType     = "-Djavax.net.ssl.trustStoreType="
)

// javaStore is the trust store that the user's options name.
type javaStore struct {
	certs [][]byte // its certificates, in DER
	// foreign tells that the store could not be read. Then it stays in
	// force, for Java reads one store only.
	foreign bool
}

// readJava reads the trust store that the user's options name.
func (w *trustWriter) readJava() {
	path, password := "", javaPassword
	for _, option := range splitOptions(w.env[javaOptions]) {
		if value, ok := strings.CutPrefix(option, javaTrustStore); ok {
			path = value
		}
		if value, ok := strings.CutPrefix(option, javaTrustPassword); ok {
			password = value
		}
	}
	if path == "" || path == "NONE" {
		return
	}
	certs, err := readJavaStore(path, password)
	if err != nil {
		w.java.foreign = true
		w.warn("Java programs keep the trust store that %s names, and don't trust the session: %v.", javaOptions, err)
		return
	}
	w.java.certs = certs
}

// readJavaStore returns the trusted certificates of a store in JKS form.
func readJavaStore(path, password string) ([][]byte, error) {
	data, _, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	store := keystore.New()
	if err := store.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return nil, fmt.Errorf("read %s as JKS: %w", path, err)
	}
	var certs [][]byte
	for _, alias := range store.Aliases() {
		if !store.IsTrustedCertificateEntry(alias) {
			continue
		}
		entry, err := store.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, fmt.Errorf("read %s: entry %q: %w", path, alias, err)
		}
		certs = append(certs, entry.Certificate.Content)
	}
	return certs, nil
}

// writeJava writes the trust store: the system's roots, those of the user's
// variables and of the user's store, and the authority. It runs beside the other
// writers and reads only what none of them changes.
func (w *trustWriter) writeJava() error {
	if w.java.foreign {
		return nil
	}
	store := keystore.New()
	now := time.Now()
	count := 0
	for _, certs := range [][][]byte{w.roots.der(), w.roots.extra, w.java.certs, {w.authority.cert.Raw}} {
		for _, der := range certs {
			entry := keystore.TrustedCertificateEntry{
				CreationTime: now,
				Certificate:  keystore.Certificate{Type: "X509", Content: der},
			}
			if err := store.SetTrustedCertificateEntry("root-"+strconv.Itoa(count), entry); err != nil {
				return fmt.Errorf("add to trust store: %w", err)
			}
			count++
		}
	}
	var b bytes.Buffer
	b.Grow(len(w.roots.pem))
	if err := store.Store(&b, []byte(javaPassword)); err != nil {
		return fmt.Errorf("encode trust store: %w", err)
	}
	return writeFile(w.path(javaStoreName), b.Bytes(), 0o644)
}

// setJava points Java to the store, after the user's own options: of two
// options for one property the last one counts.
func (w *trustWriter) setJava() {
	if w.java.foreign {
		return
	}
	w.javaOptions = strings.Join([]string{
		quoteOption(javaTrustStore + w.path(javaStoreName)),
		javaTrustPassword + javaPassword,
		javaTrustType + "jks",
	}, " ")
	w.set[javaOptions] = strings.TrimSpace(strings.TrimSpace(w.env[javaOptions]) + " " + w.javaOptions)
}

// Complete returns what an environment ("NAME=value") has to be given so that
// programs with it trust the session: the variables that it lacks, and Java's
// where somebody has set that to options of his own, which takes the place of
// the one with this index. Every other variable that is set was set on purpose.
func (t *Trust) Complete(env []string) (add []string, instead int) {
	set := make(map[string]bool, len(env))
	instead = -1
	for i, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		set[name] = true
		if name == javaOptions && value != "" && t.javaOptions != "" && !strings.Contains(value, javaTrustStore) {
			add, instead = append(add, kv+" "+t.javaOptions), i
		}
	}
	for _, kv := range t.Env {
		if name, _, _ := strings.Cut(kv, "="); !set[name] {
			add = append(add, kv)
		}
	}
	return add, instead
}

// splitOptions splits a JVM's option variable: at white space, but for what
// stands in double or single quotes, which are dropped.
func splitOptions(s string) []string {
	var (
		options []string
		option  strings.Builder
		quote   rune
		inside  bool
	)
	for _, c := range s {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			option.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case strings.ContainsRune(" \t\r\n\v\f", c):
			if inside {
				options = append(options, option.String())
				option.Reset()
				inside = false
			}
		default:
			option.WriteRune(c)
			inside = true
		}
	}
	if inside {
		options = append(options, option.String())
	}
	return options
}

// quoteOption puts an option into quotes where it holds white space.
func quoteOption(option string) string {
	if strings.ContainsAny(option, " \t") {
		return `"` + option + `"`
	}
	return option
}
