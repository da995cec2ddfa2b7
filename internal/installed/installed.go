// Package installed finds the programs, interpreters and packages of engines on this machine, and their versions.
package installed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/note"
)

// Program finds a program beside an interpreter, or in PATH.
func Program(name, python string) (string, error) {
	if python == "" {
		return exec.LookPath(name)
	}
	if _, err := Named(python); err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(python), name)
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("there is no program %s beside %s", name, python)
	}
	return path, nil
}

// Named finds the user's interpreter.
func Named(python string) (string, error) {
	path, err := exec.LookPath(python)
	if err != nil {
		return "", fmt.Errorf("the given interpreter cannot be run: %w", err)
	}
	return path, nil
}

// Python finds an interpreter: the given one, the one of the active virtual environment, or the one in
// PATH.
func Python(given string) (string, error) {
	if given == "" {
		if venv := os.Getenv("VIRTUAL_ENV"); venv != "" {
			given = filepath.Join(venv, "bin", "python")
		} else {
			given = "python3"
		}
	}
	return exec.LookPath(given)
}

// Interpreter returns the interpreter of a program installed by pip, which is named on its first line; "" for
// other programs.
func Interpreter(program string) string {
	f, err := disk.Open(program, disk.Unbounded)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 512)).ReadString('\n')
	path, ok := strings.CutPrefix(strings.TrimSpace(line), "#!")
	if !ok || !strings.Contains(filepath.Base(path), "python") {
		return ""
	}
	return path
}

// PackageVersion queries an interpreter for the version of one of its packages. The package itself, which may take half
// a minute to import, is not imported.
func PackageVersion(ctx context.Context, python backend.Command, name string) (string, error) {
	version, err := Version(ctx, python, "-c", "import importlib.metadata as m; print(m.version('"+name+"'))")
	f, ok := errors.AsType[*note.Failure](err)
	switch {
	case !ok || !strings.Contains(f.LogTail, "PackageNotFoundError"):
		return version, err
	case python.Container != nil:
		return "", note.Failf(codes.ClassNotInstalled,
			"name an image that has it with container.image, or its program with container.program",
			"the image %s has no package %s", python.Container.Image, name)
	}
	return "", note.Failf(codes.ClassNotInstalled, "install it there, or select another interpreter with --python",
		"%s has no package %s", python.Path, name)
}

// longestVersion exceeds the length of any version, in bytes.
const longestVersion = 200

// Version queries a program for its version: the last word of the last line it prints.
func Version(ctx context.Context, cmd backend.Command, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, asked.Timeout)
	defer cancel()
	out, said, err := cmd.Output(ctx, args...)
	fields := strings.Fields(string(out))
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", context.Cause(ctx)
	case err != nil || len(fields) == 0 || len(fields[len(fields)-1]) > longestVersion:
		if f, ok := errors.AsType[*note.Failure](err); ok { // a failure of its container
			return "", f
		}
		return "", &note.Failure{Class: codes.ClassNotInstalled, Err: err, LogTail: string(said),
			Message: cmd.Path + " does not report its version", Next: "try `" +
				strings.Join(append([]string{cmd.Path}, args...), " ") + "` by hand"}
	}
	return fields[len(fields)-1], nil
}
