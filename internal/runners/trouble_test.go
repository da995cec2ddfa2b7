package runners

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// The texts are exactly what clients and runtimes print.
func TestContainerTrouble(t *testing.T) {
	for text, want := range map[string]struct {
		class note.Class
		hint  string
	}{
		"Error: statfs /dev/mqueue: no such file or directory": {codes.ClassConfig, "mount -t mqueue"},
		"Error: runc: runc create failed: error during container init: error setting rlimit type 6: operation " +
			"not permitted": {codes.ClassConfig, "default_ulimits"},
		"Error: OCI runtime error: crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2": {
			codes.ClassConfig, "runc",
		},
		`Error: command required for rootless mode with multiple IDs: exec: "newuidmap": executable file not ` +
			`found in $PATH`: {codes.ClassNotInstalled, "uidmap"},
		`docker: Error response from daemon: exec: "llama-server": executable file not found in $PATH`: {
			codes.ClassNotInstalled, "container.program",
		},
		"llem: 1: llama-server: not found": {codes.ClassNotInstalled, "container.program"},
		`docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].`: {
			codes.ClassNoDevice, "nvidia-ctk",
		},
		"Error: unable to find image 'x' locally": {
			codes.ClassImage, "fetch",
		},
	} {
		if f := Failure("first line\n" + text); f == nil || f.Class != want.class ||
			!strings.Contains(f.Next, want.hint) {
			t.Errorf("%s: %+v, want class %s and a hint with %q", text, f, want.class, want.hint)
		}
	}
	if f := Failure("RuntimeError: CUDA out of memory"); f != nil {
		t.Errorf("an engine's own failure is taken for the container's: %v", f)
	}
}
