package policies

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// item is one decoded value and the place where it was written.
type item struct {
	text string
	at   hcl.Range
	// secret says that the text came from the environment, so that no message
	// may show it.
	secret bool
	// bad says that there is no text, and a diagnostic that says why.
	bad bool
}

// found is the item as a message shows it.
func (i item) found() string {
	if i.secret {
		return "a value from the environment"
	}
	return fmt.Sprintf("%q", i.text)
}

// rawList is a decoded list argument. Elements that could not be decoded have
// their diagnostics already and are left out.
type rawList struct {
	at    hcl.Range
	items []item
	// bad says that it is no list, and that a diagnostic says so.
	bad bool
	// empty says that the list was written without elements.
	empty bool
}

// given says whether a list was written and could be read.
func (l *rawList) given() bool { return l != nil && !l.bad }

// hint suggests a known name that is close to the item.
func (i item) hint(known []string) string {
	if i.secret {
		return ""
	}
	return closest(i.text, known)
}

// why is an error about the item, as a sentence, unless that would show a
// secret.
func (i item) why(err error) string {
	if i.secret {
		return "It is not shown."
	}
	return sentence(err)
}
