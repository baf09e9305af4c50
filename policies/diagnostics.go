package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Diagnostics is everything that was found wrong with the sources of a policy,
// in the order of the sources and of the lines within each. A nil *Diagnostics
// is none.
type Diagnostics struct {
	list  hcl.Diagnostics
	files map[string]*hcl.File
	// names are the sources in their order.
	names []string
}

// HasErrors says whether no policy could be made. There may be warnings
// without errors.
func (d *Diagnostics) HasErrors() bool { return d != nil && d.list.HasErrors() }

// Len returns how many diagnostics there are, warnings included.
func (d *Diagnostics) Len() int {
	if d == nil {
		return 0
	}
	return len(d.list)
}

// Err returns d where it has errors, else nil.
func (d *Diagnostics) Err() error {
	if d.HasErrors() {
		return d
	}
	return nil
}

// Error returns the diagnostics without the source, one a line.
func (d *Diagnostics) Error() string {
	if d.Len() == 0 {
		return "no diagnostics"
	}
	var b strings.Builder
	for i, diag := range d.list {
		if i > 0 {
			b.WriteByte('\n')
		}
		if diag.Subject != nil {
			fmt.Fprintf(&b, "%s:%d: ", diag.Subject.Filename, diag.Subject.Start.Line)
		}
		fmt.Fprintf(&b, "%s: %s", diag.Summary, diag.Detail)
	}
	return b.String()
}

// add appends diagnostics that HCL made. Their expressions are taken off: the
// writer would print the values of the variables in them.
func (d *Diagnostics) add(diags hcl.Diagnostics) {
	for _, diag := range diags {
		diag.Expression, diag.EvalContext = nil, nil
		d.list = append(d.list, diag)
	}
}

// errorAt appends an error about a place.
func (d *Diagnostics) errorAt(subject hcl.Range, summary, format string, args ...any) {
	d.append(hcl.DiagError, subject, summary, fmt.Sprintf(format, args...))
}

// warnAt appends a warning about a place.
func (d *Diagnostics) warnAt(subject hcl.Range, summary, format string, args ...any) {
	d.append(hcl.DiagWarning, subject, summary, fmt.Sprintf(format, args...))
}

func (d *Diagnostics) append(severity hcl.DiagnosticSeverity, subject hcl.Range, summary, detail string) {
	d.list = append(d.list, &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &subject})
}

// errorIn appends an error about a source as a whole.
func (d *Diagnostics) errorIn(summary, detail string) {
	d.list = append(d.list, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail})
}

// sort brings the diagnostics into the order of the sources. Those without a
// place come first.
func (d *Diagnostics) sort() {
	key := func(diag *hcl.Diagnostic) (source, at int) {
		if diag.Subject == nil {
			return -1, 0
		}
		return slices.Index(d.names, diag.Subject.Filename), diag.Subject.Start.Byte
	}
	slices.SortStableFunc(d.list, func(a, b *hcl.Diagnostic) int {
		aSource, aAt := key(a)
		bSource, bAt := key(b)
		if aSource != bSource {
			return aSource - bSource
		}
		return aAt - bAt
	})
}

// sentence makes of an error a sentence of a detail.
func sentence(err error) string {
	// What wraps a detail is for programs; the innermost cause is for people.
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// suggestion begins what follows a detail, of ours and of HCL's.
const suggestion = " Did you mean "

// closest returns " Did you mean ...?" where a known name is close to what was
// written, else nothing.
func closest(written string, known []string) string {
	best, bestDistance := "", 3
	for _, name := range known {
		if distance := levenshtein.Distance(strings.ToLower(written), strings.ToLower(name), nil); distance < bestDistance {
			best, bestDistance = name, distance
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("%s%q?", suggestion, best)
}

// oneOf lists names for a detail: "a", "b" or "c".
func oneOf(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
