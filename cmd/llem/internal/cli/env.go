// Package cli is the llem program: commands, flags, prompts and exit codes. It is
// the only package that knows cobra, and it reaches the process (arguments,
// environment, standard streams, signals) through one value that tests replace.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/cmd/llem/internal/ending"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/study"
)

// Env is everything that the program shares with the process.
type Env struct {
	// Program is how the program was called, if not as llem: commands to paste begin with it.
	Program string
	Args    []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	// Environ lists the environment as NAME=VALUE; nil is none.
	Environ func() []string
	// StdinTTY, StdoutTTY and StderrTTY report which streams are terminals.
	StdinTTY, StdoutTTY, StderrTTY bool
	// Columns, if set, is the width of the terminal on standard output, 0 if it is
	// not known.
	Columns func() int
	// Color is when colour is printed: auto, or "" (on a terminal), always or never.
	Color string
	// Signals, if set, ends the returned context at the first interrupt, or when the reader of the
	// output is gone, and the process at the second interrupt.
	Signals func(context.Context) (context.Context, context.CancelFunc)
	// releaseSignals ends what Signals has begun.
	releaseSignals context.CancelFunc
}

// ProcessEnv is the environment of this process.
func ProcessEnv() Env {
	p := &ending.Pipes{}
	return Env{
		Program: calledAs(os.Args[0]), Args: os.Args[1:],
		Stdin: os.Stdin, Stdout: p.Stream(os.Stdout), Stderr: p.Stream(os.Stderr),
		Getenv: os.Getenv, Environ: os.Environ,
		StdinTTY: isTerminal(os.Stdin), StdoutTTY: isTerminal(os.Stdout), StderrTTY: isTerminal(os.Stderr),
		Columns: func() int { return columns(os.Stdout) },
		Signals: p.Interruptible,
	}
}

// calledAs returns the path by which the program was called; empty if the shell finds it as llem.
func calledAs(path string) string {
	if !strings.Contains(path, "/") {
		return ""
	}
	if found, err := exec.LookPath("llem"); err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(path)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return ""
		}
	}
	return shell.Path(path)
}

// Values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// unknownVariables returns warnings about variables that look like settings but are not.
func (env *Env) unknownVariables() []string {
	if env.Environ == nil {
		return nil
	}
	return study.UnknownVariables(engines.All(), env.Environ())
}

// columns is the width of a terminal.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// Widths between which notes are broken on a terminal; others are not read well.
const minWidth, maxWidth = 40, 100

// width is where long notes are broken; 0 leaves it to the printer. What is not
// printed on a terminal does not depend on one.
func (env *Env) width() int {
	n := env.tableWidth()
	if n == 0 {
		return 0
	}
	return min(maxWidth, n)
}

// tableWidth is how wide tables are; 0 leaves it to the printer.
func (env *Env) tableWidth() int {
	if !env.StdoutTTY {
		return 0
	}
	n, err := strconv.Atoi(env.Getenv("COLUMNS"))
	if (err != nil || n <= 0) && env.Columns != nil {
		n = env.Columns()
	}
	if n <= 0 {
		return 0
	}
	return max(minWidth, n)
}

// folded is a text for people in the width and the characters of standard output.
func (env *Env) folded(text string) error {
	_, err := io.WriteString(env.Stdout,
		shell.Called(env.Program, table.Fold(env.style().Text(text), env.tableWidth())))
	return err
}

// complain prints a message on standard error in the characters of the terminal, and in its width if it is one.
func (env *Env) complain(text string) {
	width := 0
	if env.StderrTTY {
		width = env.tableWidth()
	}
	fmt.Fprint(env.Stderr, shell.Called(env.Program, table.Fold(env.style().Text(text), width)))
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Exit codes, part of the contract with scripts.
const (
	exitOK          = 0
	exitFailed      = 1               // a run failed, or the machine is unfit
	exitUsage       = 2               // usage or configuration
	exitInterrupted = ending.ExitCode // SIGINT, SIGTERM or SIGHUP
)
