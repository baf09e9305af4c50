package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"boundary/supervisor"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine gives to hold an agent",
		Long: `Say what this kernel and this container allow, which guards will be on, and
what is lost without each. It tries them for real, with a launcher that is
ended before it would run anything.

The exit status is 0 where an agent can be run, 1 where it can't.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := supervisor.Examine()
			out := cmd.OutOrStdout()
			if asJSON {
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(report); err != nil {
					return err
				}
			} else {
				printReport(out, report, colored(os.Stdout))
			}
			if !report.Holds {
				return &exitError{status: exitFailure}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printReport(w io.Writer, r supervisor.Report, color bool) {
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	const green, yellow, red, bold = "32", "33", "31", "1"
	fmt.Fprintf(w, "kernel %s, Landlock ABI %d, as %s\n\n", r.Kernel, r.LandlockABI, r.User)
	for _, g := range r.Guards {
		mark := paint(green, "on ")
		if !g.On {
			mark = paint(yellow, "off")
			if g.Essential {
				mark = paint(red, "off")
			}
		}
		fmt.Fprintf(w, "%s  %-22s %s\n", mark, g.Name, g.Does)
		if !g.On {
			fmt.Fprintf(w, "     %-22s lost: %s\n", "", g.Lost)
			fmt.Fprintf(w, "     %-22s why: %s\n", "", g.Why)
		}
	}
	fmt.Fprintln(w)
	if !r.Holds {
		fmt.Fprintf(w, "%s %s\n", paint(red, "No agent can be run here:"), r.Why)
		return
	}
	fmt.Fprintln(w, paint(bold, "An agent can be run here.")+" UDP is carried by surrogates: no IP datagram socket exists in it.")
}
