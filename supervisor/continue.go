//go:build !continueall

package supervisor

// deliberate answers nothing: see the file for the tag continueall.
func deliberate(*call) (reply, bool) { return reply{}, false }
