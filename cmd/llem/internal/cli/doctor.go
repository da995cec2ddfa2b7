package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/machine"
)

// errUnfit ends a self-test that found the machine unfit to measure.
var errUnfit = errors.New("this machine is not fit to measure energy")

// newDoctor tests the power sensors.
func newDoctor(env *Env) *cobra.Command {
	var o llem.DoctorOptions
	var asJSON bool
	var file string
	loads := machine.Loads()
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Test the power sensors: cost, delay, agreement",
		Example: "  llem doctor\n  llem doctor --quick",
		Long: `Test the power sensors of this machine and print which windows and which phases a
measurement here can resolve. Takes about two minutes with a GPU (and PyTorch for the
load), the same again with a processor sensor, ten seconds with --quick. Needs no
root.

The outcome is kept for a month: later runs use what it found about the sensors and store
it beside their results as doctor.json.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{"doctor takes no arguments", "see `llem doctor --help`"}
			}
			if !slices.Contains(loads, o.Load) {
				return &usageError{fmt.Sprintf("--load %s is unknown", o.Load),
					"use one of " + strings.Join(loads, ", ")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.doctor(cmd.Context(), o, asJSON, file)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Quick, "quick", false, "skip the tests that need a load")
	f.StringVar(&o.Load, "load", machine.LoadAuto,
		"the load that keeps the devices busy, one of "+strings.Join(loads, ", ")+
			" (an engine: the GPUs)")
	f.StringVar(&o.Python, "python", "", "interpreter that has torch")
	f.BoolVar(&asJSON, "json", false, "print the outcome as one JSON document")
	f.StringVarP(&file, "output", "o", "", "also write the JSON document to this file")
	return cmd
}

func (env *Env) doctor(ctx context.Context, o llem.DoctorOptions, asJSON bool, file string) error {
	o.Say = func(line string) { fmt.Fprintln(env.text(env.Stderr), "    "+line) }
	if err := writable(file); err != nil {
		return err
	}
	r, err := llem.Doctor(ctx, o)
	if r == nil {
		return err
	}
	if err != nil { // it could not be kept; what was found is printed all the same
		fmt.Fprintf(env.text(env.Stderr), "llem: warning: %v\n", err)
	}
	if asJSON {
		err = env.printJSON(r)
	} else {
		var text strings.Builder
		r.Text(&text)
		err = errors.Join(err, env.folded(text.String()))
	}
	if file != "" {
		err = errors.Join(err, disk.WriteFile(file, func(w io.Writer) error { return writeJSON(w, r) }))
	}
	if err == nil && r.Unfit() {
		err = errUnfit
	}
	return err
}

// writable checks before a test of minutes that its outcome can be written.
func writable(file string) error {
	if file == "" {
		return nil
	}
	dir := filepath.Dir(file)
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return &usageError{fmt.Sprintf("-o %s is a folder", file),
			"give the name of a file, such as " + filepath.Join(file, "doctor.json")}
	}
	probe, err := os.CreateTemp(dir, ".llem-*")
	if err != nil {
		return &usageError{fmt.Sprintf("-o %s cannot be written: %v", file, err),
			"choose a folder that exists and that you may write to"}
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
