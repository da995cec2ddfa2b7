package server

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
)

// What is found beside an interpreter or in PATH for a process is found inside an image by
// the shell that every image must have.

// inside is the command of the engine's program: own, which only tests have, or that of the
// image of spec. It is nil for a process that is still to be found.
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

// asPython runs the interpreter that $0 is, or that the first line of the program $0 names,
// as that of a program which pip has installed does, else python3.
const asPython = `case ${0##*/} in python*) exec "$0" "$@" ;; esac
read -r first < "$(command -v "$0")"
case $first in "#!"*python*) exec ${first#??} "$@" ;; esac
exec python3 "$@"`

// Interpreted is a container in which the interpreter of its program runs, with the
// arguments by which it does.
func Interpreted(c *backend.Container, args ...string) (*backend.Container, []string) {
	box := *c
	box.Program = "sh"
	return &box, append([]string{"-c", asPython, c.Program}, args...)
}

// versionInside asks for the version of a package in an image: its interpreter, which
// answers at once, else the program cmd, which may import all of itself first.
func versionInside(ctx context.Context, cmd backend.Command, name string) (string, error) {
	box, args := Interpreted(cmd.Container)
	version, err := packageOf(ctx, backend.Command{Path: box.Program, Args: args, Container: box}, name)
	if err == nil {
		return version, nil
	}
	if version, asked := versionOf(ctx, cmd, "--version"); asked == nil {
		return version, nil
	}
	return "", err
}
