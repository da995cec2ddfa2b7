package server

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/installed"
)

// For a process, the program is found beside an interpreter or in PATH; inside an image, the shell that every
// image must have finds it.

// inside returns the command of the engine's program: own, which only tests have, or the program of spec's image.
// It is nil for a process that is still to be found.
func inside(own *backend.Command, spec backend.Spec) *backend.Command {
	if spec.Container == nil {
		return own
	}
	var c backend.Command
	if own != nil {
		c = *own
	}
	c = c.Within(spec)
	return &c
}

// asPython runs the interpreter of the program $0: $0 itself, or the one named on its first line as pip writes it,
// otherwise python3.
const asPython = `case ${0##*/} in python*) exec "$0" "$@" ;; esac
read -r first < "$(command -v "$0")"
case $first in "#!"*python*) exec ${first#??} "$@" ;; esac
exec python3 "$@"`

// Interpreted returns a container that runs the interpreter of its program, with the arguments for that.
func Interpreted(c *backend.Container, args ...string) (*backend.Container, []string) {
	box := *c
	box.Program = "sh"
	return &box, append([]string{"-c", asPython, c.Program}, args...)
}

// versionInside queries the version of a package in an image: first its interpreter, which answers at once, then
// the program cmd, which may import all of itself first.
func versionInside(ctx context.Context, cmd backend.Command, name string) (string, error) {
	box, args := Interpreted(cmd.Container)
	version, err := installed.PackageVersion(ctx, backend.Command{Path: box.Program, Args: args, Container: box}, name)
	if err == nil {
		return version, nil
	}
	if version, asked := installed.Version(ctx, cmd, "--version"); asked == nil {
		return version, nil
	}
	return "", err
}
