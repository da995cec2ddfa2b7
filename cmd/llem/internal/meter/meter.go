// Package meter is the command llem meter: what its flags mean, and what it prints when a window has ended.
//
//	llem meter -- COMMAND        a command, with its streams and its exit code
//	llem meter --pid PID         a process that runs already
//	llem meter --serve SOCKET    what a program marks, as the Python package does
package meter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/screen"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/metering"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Flags are the flags of the command.
type Flags struct {
	PID     int
	Serve   string
	For     time.Duration
	GPUs    string
	Sources []string
	// BaselineS is how long the idle machine is measured, in seconds, if it was given.
	BaselineS     float64
	BaselineGiven bool
	Repeat        int
	Name          string
	Results       string
	To            string
	Estimate      bool
	Shared        bool
	JSON          bool
	Quiet         bool
}

// usualBaselineS is how long the idle machine is measured before a command, in seconds, as in a study.
func usualBaselineS() float64 { return study.DefaultExperiment(engines.All()[0]).Baseline.Seconds }

// Command is the command with what it shares with the process.
type Command struct {
	Flags Flags
	// Argv is the command after --.
	Argv []string
	// Screen prints results; Err is where messages and the answer go.
	Screen screen.Screen
	Err    io.Writer
	// Release hands the signals of the program over, which then belong to the command.
	Release func()
}

// usageError is a mistake on the command line.
type usageError struct{ msg, next string }

func (e *usageError) Error() string { return e.msg }

// NextStep returns how to use the command.
func (e *usageError) NextStep() string { return e.next }

// IsUsage marks a mistake on the command line.
func (e *usageError) IsUsage() {}

// check refuses flags that make no sense together.
func (c *Command) check() error {
	f, modes := c.Flags, 0
	for _, given := range []bool{len(c.Argv) > 0, f.PID != 0, f.Serve != ""} {
		if given {
			modes++
		}
	}
	switch {
	case modes == 0:
		return &usageError{"there is nothing to measure", "llem meter -- COMMAND ARGS…, or --pid PID"}
	case modes > 1:
		return &usageError{"a command, --pid and --serve exclude each other", "give one of them"}
	case f.BaselineS < 0:
		return &usageError{"--baseline is negative", "give a number of seconds, or 0 for none"}
	case f.Repeat < 1 || f.Repeat > 1 && len(c.Argv) == 0:
		return &usageError{"--repeat runs a command several times", "give a number from 1 and a command behind --"}
	case f.For < 0 || f.For > 0 && f.PID == 0:
		return &usageError{"--for ends the window of --pid", "give a duration such as 30s, and --pid"}
	case f.To != "" && f.Serve != "":
		return &usageError{"--to takes the answer, which with --serve goes to the program", "leave one of them out"}
	case unknown(f.Sources) != "":
		return &usageError{fmt.Sprintf("there are no sensors called %q", unknown(f.Sources)),
			"use one or more of " + strings.Join(machine.Families(), ", ")}
	case f.GPUs != "" && strings.Trim(f.GPUs, ", ") == "":
		return &usageError{fmt.Sprintf("--gpus %q names no GPU", f.GPUs),
			"such as 0 or 0,1, as nvidia-smi -L lists them"}
	}
	if f.To != "" {
		if info, err := os.Stat(filepath.Dir(f.To)); err != nil || !info.IsDir() {
			return &usageError{"--to " + f.To + " cannot be written", "choose a folder that exists"}
		}
	}
	return nil
}

// unknown returns the first source that is none.
func unknown(sources []string) string {
	for _, s := range sources {
		if !slices.Contains(machine.Families(), s) {
			return cmp.Or(s, " ")
		}
	}
	return ""
}

// Run measures, prints the answer, and returns the error of the command.
func (c *Command) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	o, path, err := c.options()
	if err != nil {
		return err
	}
	if c.Flags.Serve != "" {
		return c.serve(ctx, o)
	}
	m, err := metering.Open(ctx, o)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Idle(ctx); err != nil {
		return err
	}
	var newest *result.Record
	if o.PID > 0 {
		newest, err = m.Process(ctx, c.Flags.For)
	} else {
		c.Release()
		for range c.Flags.Repeat {
			streams := metering.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
			if newest, err = m.Command(ctx, path, streams); err != nil {
				break
			}
		}
	}
	failed, _ := errors.AsType[*metering.ExitError](err)
	if err != nil && (failed == nil || failed.Err != nil) {
		if newest != nil { // which could not be stored
			fmt.Fprintln(c.Err, report.Line(newest))
		}
		return err
	}
	return errors.Join(c.answer(m), err)
}

// options returns what is measured, and the program of a command.
func (c *Command) options() (o metering.Options, path string, err error) {
	f := c.Flags
	o = metering.Options{Name: f.Name, Argv: c.Argv, PID: f.PID, Results: f.Results, AllowShared: f.Shared,
		Sensors: machine.Sensors{Sources: f.Sources, Estimate: f.Estimate}, BaselineS: f.BaselineS}
	if f.GPUs != "" {
		o.Sensors.GPUs = &f.GPUs
	}
	if !f.Quiet {
		o.Tell = func(text string) { fmt.Fprintf(c.Err, "llem: %s\n", text) }
	}
	switch {
	case f.PID != 0:
		err = metering.Alive(f.PID)
		o.Name = cmp.Or(o.Name, fmt.Sprintf("process %d", f.PID))
	case f.Serve != "":
		o.Name, o.PID = cmp.Or(o.Name, "marks"), os.Getppid()
	default:
		path, err = metering.Find(c.Argv)
		o.Name = cmp.Or(o.Name, nameOf(c.Argv))
	}
	if !f.BaselineGiven && f.PID == 0 { // else the machine is not idle
		o.BaselineS = usualBaselineS()
	}
	return o, path, err
}

// nameOf names a command by its program and arguments, quoted where a shell needs it.
func nameOf(argv []string) string {
	words := []string{shell.Quote(filepath.Base(argv[0]))}
	for _, a := range argv[1:] {
		if !strings.HasPrefix(a, "-") { // which for Quote would be a file
			a = shell.Quote(a)
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// serve measures what a program marks. The socket is there before the sensors are opened, so that the program learns
// why they are not.
func (c *Command) serve(ctx context.Context, o metering.Options) error {
	l, err := metering.Listen(c.Flags.Serve)
	if err != nil {
		return err
	}
	conn, err := metering.Accept(ctx, l)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer metering.Orphaned(conn)()
	m, err := metering.Open(ctx, o)
	if err != nil {
		metering.Refuse(conn, err)
		return err
	}
	defer m.Close()
	if err := m.Idle(ctx); err != nil {
		metering.Refuse(conn, err)
		return err
	}
	return m.Serve(ctx, conn)
}

// answer prints the results from their folder.
func (c *Command) answer(m *metering.Meter) error {
	found, err := store.Open(m.Dir())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if c.Flags.JSON {
		err = encode(&text, found.StudyResult)
	} else {
		err = c.Screen.Study(&text, found.StudyResult)
	}
	if err != nil {
		return err
	}
	if c.Flags.To == "" {
		_, err = c.Err.Write(text.Bytes())
		return err
	}
	return disk.WriteFile(c.Flags.To, func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	})
}

// encode writes the record of a single window, and the study of several.
func encode(w io.Writer, s *result.StudyResult) error {
	if r := s.Experiment(); r != nil && len(s.Rows) == 1 {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	return s.Encode(w)
}
