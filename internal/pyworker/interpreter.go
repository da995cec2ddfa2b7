package pyworker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/note"
)

// The oldest Python that the worker's syntax and the libraries support.
const (
	minMajor = 3
	minMinor = 10
)

// versionTimeout bounds the query for the interpreter's version. Interpreters on network file systems are slow to
// start.
const versionTimeout = 30 * time.Second

const installHint = "install Python 3.10 or newer, or select an interpreter with --python"

// Interpreter chooses the Python that runs a worker.
type Interpreter struct {
	// Python is the user's interpreter, a path or a name in PATH; it may be empty.
	Python string
	// Needs are the packages that it must have, for hints: "torch and transformers".
	Needs string
	// Env looks up environment variables; nil means os.Getenv.
	Env func(string) string
}

// Find returns the given Python, or the one of the active virtual environment, or the first in PATH. Its version
// has been checked.
func (i Interpreter) Find(ctx context.Context) (string, error) {
	path, err := i.choose()
	if err != nil {
		return "", err
	}
	return path, i.checkVersion(ctx, path)
}

func (i Interpreter) hint() string {
	return "select an interpreter with --python, or activate a virtual environment that has " + i.Needs
}

func (i Interpreter) getenv(key string) string {
	if i.Env != nil {
		return i.Env(key)
	}
	return os.Getenv(key)
}

func (i Interpreter) choose() (string, error) {
	if i.Python != "" {
		return i.explicit(i.Python, "--python")
	}
	if venv := i.getenv("VIRTUAL_ENV"); venv != "" {
		return i.explicit(filepath.Join(venv, "bin", "python"), "the virtual environment in $VIRTUAL_ENV")
	}
	for _, name := range []string{"python3", "python"} {
		if path := i.inPath(name); path != "" {
			return path, nil
		}
	}
	return "", note.Failf(codes.ClassNotInstalled, installHint, "no python3 in PATH")
}

// explicit checks a given interpreter. origin is where it was given.
func (i Interpreter) explicit(name, origin string) (string, error) {
	path := name
	if !strings.ContainsRune(name, filepath.Separator) {
		if path = i.inPath(name); path == "" {
			return "", note.Failf(codes.ClassNotInstalled, i.hint(), "no %s in PATH, as %s asks", name, origin)
		}
	}
	if err := executable(path); err != nil {
		return "", note.Failf(codes.ClassNotInstalled, i.hint(),
			"%s names %s, which cannot be run: %v", origin, path, err)
	}
	// Relative paths must survive a change of folder.
	return filepath.Abs(path)
}

func (i Interpreter) inPath(name string) string {
	for _, dir := range filepath.SplitList(i.getenv("PATH")) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && executable(path) == nil {
			return path
		}
	}
	return ""
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder")
	case info.Mode()&0o111 == 0:
		return errors.New("it is not executable")
	}
	return nil
}

// checkVersion starts the interpreter once; its output also proves that it is one.
func (i Interpreter) checkVersion(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	const question = "import sys; sys.stdout.write('\\n%d.%d' % sys.version_info[:2])"
	cmd := exec.CommandContext(ctx, path, "-E", "-S", "-c", question)
	cmd.WaitDelay = time.Second
	out, _, err := printed.Output(cmd, printed.MostAnswer, cancel)
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, printed.ErrTooMuch) {
		return context.Cause(ctx)
	}
	// Wrapper scripts may print something first.
	answer := bytes.TrimSpace(out)
	answer = answer[bytes.LastIndexByte(answer, '\n')+1:]
	var major, minor int
	if _, scanErr := fmt.Sscanf(string(answer), "%d.%d", &major, &minor); err != nil || scanErr != nil {
		return note.Failf(codes.ClassNotInstalled, i.hint(),
			"%s does not answer like a Python interpreter%s", path, because(err))
	}
	if major < minMajor || major == minMajor && minor < minMinor {
		return note.Failf(codes.ClassVersion, installHint,
			"%s is Python %d.%d: %d.%d or newer is needed", path, major, minor, minMajor, minMinor)
	}
	return nil
}

// because returns the error output of a failed command as a suffix.
func because(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if said := strings.TrimSpace(string(exit.Stderr)); said != "" {
			first, _, _ := strings.Cut(said, "\n")
			text += ": " + first
		}
	}
	return ": " + text
}
