package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"boundary/supervisor"
)

func newDoctor() *cobra.Command {
	var asJSON, attacks bool
	var raceFor time.Duration
	var only string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine gives to hold an agent",
		Long: `Say what this kernel and this container allow, which guards will be on, and
what is lost without each, and which programs will trust the session's
certificates. It tries them for real, with a launcher that is ended before it
would run anything.

With --attack it tries the known ways out instead, each from inside a boundary
of its own, and says of each whether it was held, or got out. They touch only
what doctor itself sets up on loopback; what needs more is not tried. The few
that are open are known to get out, for the reason that is said. --json then
prints one object a line.

The exit status is 0 where an agent can be run, and no attempt got out but those
that are known to; else it is 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if attacks {
				a := &attack{out: out, paint: painter(colored(os.Stdout)), json: asJSON, raceFor: raceFor, only: only}
				return a.run()
			}
			report := supervisor.Examine()
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object; with --attack, one a line")
	cmd.Flags().BoolVar(&attacks, "attack", false, "try the known ways out from inside a boundary")
	cmd.Flags().StringVar(&only, "only", "*/*", "with --attack: the attempts to make, as in 'tcp/*'")
	cmd.Flags().DurationVar(&raceFor, "race-for", time.Second, "with --attack: how long each race is tried")
	return cmd
}

func printReport(w io.Writer, r supervisor.Report, color bool) {
	paint := painter(color)
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
	printTrust(w, r.Trust, paint(green, "on "), paint(yellow, "off"))
	fmt.Fprintln(w)
	if !r.Holds {
		fmt.Fprintf(w, "%s %s\n", paint(red, "No agent can be run here:"), r.Why)
		return
	}
	fmt.Fprintln(w, paint(bold, "An agent can be run here.")+" UDP is carried by surrogates: no IP datagram socket exists in it.")
}

// printTrust says which programs trust the session's certificates.
func printTrust(w io.Writer, trust []supervisor.Trust, on, off string) {
	if len(trust) == 0 {
		return
	}
	fmt.Fprint(w, "\nThe session's certificates are trusted by:\n\n")
	for _, t := range trust {
		mark := on
		if !t.On {
			mark = off
		}
		fmt.Fprintf(w, "%s  %-22s %s\n", mark, t.Name, t.Covers)
		if !t.On {
			fmt.Fprintf(w, "     %-22s why: %s\n", "", t.Why)
			fmt.Fprintf(w, "     %-22s instead: %s\n", "", t.Instead)
		}
	}
}

// painter returns what puts a text between colour codes, or leaves it as it is.
func painter(color bool) func(code, text string) string {
	return func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
}
