package sim

import (
	"context"
	_ "embed" // the source of the library
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed nvml/nvml.c
var nvmlSource []byte

// ErrUnavailable means that the fake library cannot be built or loaded on this machine.
var ErrUnavailable = errors.New("the fake NVML is not available")

// Build compiles the fake libnvidia-ml.so.1 into a folder and returns its path. A program that has loaded it
// keeps it until it ends, since the bindings resolve each function once. The library reads the environment
// again whenever it is initialised after its last shutdown, so that simulations can follow one another.
func Build(ctx context.Context, dir string) (string, error) {
	if !cgoBuilt {
		return "", fmt.Errorf("%w: this program was built without cgo and cannot load a library", ErrUnavailable)
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", fmt.Errorf("%w: no C compiler (cc) is installed", ErrUnavailable)
	}
	source, library := filepath.Join(dir, "nvml.c"), filepath.Join(dir, "libnvidia-ml.so.1")
	if err := os.WriteFile(source, nvmlSource, 0o600); err != nil {
		return "", fmt.Errorf("write the library's source: %w", err)
	}
	cmd := exec.CommandContext(ctx, cc, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-fvisibility=hidden",
		"-Wl,-z,nodelete", "-o", library, source, "-lm", "-lpthread")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the fake NVML: %w\n%s", err, out)
	}
	return library, nil
}
