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

// ErrUnavailable says that the imitated library cannot be built or loaded here.
var ErrUnavailable = errors.New("the imitated NVML is not available")

// Build compiles the imitated libnvidia-ml.so.1 into a folder and returns its path.
// A program that has loaded it keeps it until it ends, since the bindings resolve
// each function once; the library looks at the environment again whenever it is
// initialised after its last shutdown, so that one simulation can follow another.
func Build(ctx context.Context, dir string) (string, error) {
	if !cgoBuilt {
		return "", fmt.Errorf("%w: this program was built without cgo and loads no library", ErrUnavailable)
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
		return "", fmt.Errorf("compile the imitated NVML: %w\n%s", err, out)
	}
	return library, nil
}
