package policies

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// Render writes the diagnostics with the lines that they are about, and the
// place in each line underlined. A width of 0 is no wrapping; color is for a
// terminal.
func (d *Diagnostics) Render(w io.Writer, color bool, width int) error {
	if d.Len() == 0 {
		return nil
	}
	var text bytes.Buffer
	writer := hcl.NewDiagnosticTextWriter(&text, d.files, uint(max(width, 0)), color)
	for _, diag := range d.list {
		text.Reset()
		if err := writer.WriteDiagnostic(diag); err != nil {
			return fmt.Errorf("write diagnostics: %w", err)
		}
		out := text.String()
		if !color {
			out = d.underline(diag, out)
		}
		if _, err := io.WriteString(w, out); err != nil {
			return fmt.Errorf("write diagnostics: %w", err)
		}
	}
	return nil
}

// underline adds a line of carets below the place of a diagnostic: HCL's writer
// shows it by colour alone.
func (d *Diagnostics) underline(diag *hcl.Diagnostic, text string) string {
	if diag.Subject == nil || d.files[diag.Subject.Filename] == nil {
		return text
	}
	number := fmt.Sprintf("\n%4d: ", diag.Subject.Start.Line)
	at := strings.Index(text, number)
	if at < 0 {
		return text
	}
	end := at + len(number)
	end += strings.IndexByte(text[end:], '\n') + 1

	src := d.files[diag.Subject.Filename].Bytes
	from, to := diag.Subject.Start.Byte, diag.Subject.End.Byte
	if from > len(src) || to > len(src) || from > to {
		return text
	}
	before := src[bytes.LastIndexByte(src[:from], '\n')+1 : from]
	place, _, _ := bytes.Cut(src[from:to], []byte("\n"))
	carets := strings.Repeat("^", max(len(blanks(place)), 1))
	return text[:end] + strings.Repeat(" ", len(number)-1) + blanks(before) + carets + "\n" + text[end:]
}

// blanks returns white space as wide as a text.
func blanks(text []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Cc):
			return -1
		}
		return ' '
	}, string(text))
}
