package audit

import "crypto/rand"

// idAlphabet has 32 characters and none that is easily taken for another: no i, l, o or u.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	sessionIDLen = 16
	recordIDLen  = 8
)

// NewID returns a random identifier for a request or a denial: 8 characters, 40 bits, of digits and lower-case letters
// that are hard to take for one another.
func NewID() string { return randomID(recordIDLen) }

// NewSession returns a random identifier for a session: 16 characters of the same kind, 80 bits.
func NewSession() string { return randomID(sessionIDLen) }

func randomID(n int) string {
	b := make([]byte, n)
	// It never returns an error: without random numbers the program ends (crypto/rand).
	_, _ = rand.Read(b)
	for i, c := range b {
		b[i] = idAlphabet[c%byte(len(idAlphabet))]
	}
	return string(b)
}
