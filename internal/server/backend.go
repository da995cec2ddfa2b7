package server

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/installed"
	"github.com/llenergymeasure/llem/note"
)

// Product is the part of a [Backend] that differs between engines.
type Product struct {
	// Name in study files, and Title as the engine's makers write it.
	Name, Title string
	// Program is the name of the server's program; Module, for an engine without one, is the Python module that an
	// interpreter runs instead.
	Program, Module string
	// Package is the Python package whose version is the engine's; empty if the program describes itself (Info).
	Package string
	// Install is how a user installs the engine.
	Install string
	// Info queries a program that does not come from a Python package.
	Info func(context.Context, backend.Command) (backend.Info, error)
	// Device guesses from the version where models will run; nil is cuda.
	Device func(version string) string
	// Engine returns the engine-specific part for its command and description.
	Engine func(backend.Command, backend.Info) Engine
}

// Backend finds the program of an engine, queries its version and starts it as a server.
type Backend struct {
	// Product is the engine-specific part.
	Product Product
	// Command starts the engine's own program; arguments are added. Nil searches for it.
	Command *backend.Command
	// Python is an interpreter that has the engine; empty takes the one in PATH, and for a module first the one of the
	// active virtual environment.
	Python string
	// Program is the path of the program; empty takes the one beside Python, or in PATH.
	Program string
	// Options bounds how long the server may take.
	Options Options
}

var _ backend.Backend = Backend{}

// Name implements backend.Backend.
func (b Backend) Name() string { return b.Product.Name }

// Probe implements backend.Backend. It queries the version and does not import the engine, unless only the
// engine's program knows it.
func (b Backend) Probe(ctx context.Context) (backend.Info, error) {
	_, info, err := b.find(ctx, backend.Spec{})
	return info, err
}

// Start implements backend.Backend.
func (b Backend) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	cmd, info, err := b.find(ctx, spec)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, b.Product.Engine(cmd, info), spec, b.Options)
}

// find returns the server's command and its description.
func (b Backend) find(ctx context.Context, spec backend.Spec) (backend.Command, backend.Info, error) {
	cmd, err := b.command(spec)
	if err != nil {
		return cmd, backend.Info{}, b.missing(ctx, err)
	}
	if b.Product.Info != nil {
		info, err := b.Product.Info(ctx, cmd)
		return cmd, info, err
	}
	version, err := b.version(ctx, cmd)
	if err != nil {
		return cmd, backend.Info{}, err
	}
	info := backend.Info{Version: version, Device: "cuda", Versions: map[string]string{b.Product.Package: version}}
	if b.Product.Device != nil {
		info.Device = b.Product.Device(version)
	}
	return cmd, info, nil
}

// command finds the program: in the image of spec, or on this machine.
func (b Backend) command(spec backend.Spec) (backend.Command, error) {
	inside := inside(b.Command, spec)
	var cmd backend.Command
	var err error
	switch {
	case inside != nil:
		cmd = *inside
	case b.Product.Module != "":
		cmd.Path, err = installed.Python(b.Python)
	default:
		cmd.Path, err = installed.Program(cmp.Or(b.Program, b.Product.Program), b.Python)
	}
	if b.Product.Module != "" && b.Command == nil {
		cmd.Args = []string{"-m", b.Product.Module}
	}
	return cmd, err
}

// version queries the installed package, which answers at once, otherwise the program, which may import all of
// itself first.
func (b Backend) version(ctx context.Context, cmd backend.Command) (string, error) {
	switch {
	case cmd.Container != nil:
		return versionInside(ctx, cmd, b.Product.Package)
	case b.Command != nil:
		return installed.Version(ctx, cmd, "--version")
	case b.Product.Module != "":
		version, err := installed.PackageVersion(ctx, backend.Command{Path: cmd.Path}, b.Product.Package)
		if err != nil {
			return "", b.missing(ctx, err)
		}
		return version, nil
	}
	if python := runs(cmd.Path); python != "" {
		if version, err := installed.PackageVersion(ctx, backend.Command{Path: python}, b.Product.Package); err == nil {
			return version, nil
		}
	}
	return installed.Version(ctx, cmd, "--version")
}

// runs finds the interpreter that runs a program: the one named on its first line, or the one beside it, because
// that line may name a shell.
func runs(program string) string {
	for _, python := range []string{installed.Interpreter(program), filepath.Join(filepath.Dir(program), "python3")} {
		if path, err := exec.LookPath(python); err == nil {
			return path
		}
	}
	return ""
}

// Interpreter finds the interpreter that has the engine: the given one, or the one that runs the engine's program.
func (b Backend) Interpreter(ctx context.Context) (string, error) {
	if b.Python != "" {
		path, err := installed.Named(b.Python)
		if err != nil {
			return "", b.missing(ctx, err)
		}
		return path, nil
	}
	cmd, err := b.command(backend.Spec{})
	if err != nil {
		return "", b.missing(ctx, err)
	}
	if python := runs(cmd.Path); python != "" {
		return python, nil
	}
	return "", note.Failf(codes.ClassNotInstalled, "name the interpreter with --python",
		"%s does not name its interpreter, and there is no python3 beside it", cmd.Path)
}

// missing returns the failure of an engine that is not installed.
func (b Backend) missing(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &note.Failure{Class: codes.ClassNotInstalled, Message: b.Product.Title + " is not installed", Err: err,
		Next: b.Product.Install}
}
