package backend

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

func TestDescribedImage(t *testing.T) {
	for text, want := range map[string]Image{
		`[{"Id":"sha256:12","RepoDigests":["vllm/vllm-openai@sha256:34"]}]`: {
			ID: "sha256:12", Digest: "sha256:34",
		},
		`[{"Id":"sha256:12","RepoDigests":[]}]`: {
			ID: "sha256:12",
		},
		"[\n     {\n \"Id\": \"12\", \"RepoDigests\": [\"localhost/a@sha256:56\", \"ghcr.io/a@sha256:34\"]}]": {
			ID: "sha256:12", Digest: "sha256:34",
		},
		`[]`:  {},
		`{}`:  {},
		`odd`: {},
	} {
		if got, ok := describedImage([]byte(text)); got != want || ok != (want != Image{}) {
			t.Errorf("%s: %+v (%v), want %+v", text, got, ok, want)
		}
	}
}

// What clients and runtimes print, word for word.
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
		if f := containerFailure("first line\n" + text); f == nil || f.Class != want.class ||
			!strings.Contains(f.Next, want.hint) {
			t.Errorf("%s: %+v, want class %s and a hint with %q", text, f, want.class, want.hint)
		}
	}
	if f := containerFailure("RuntimeError: CUDA out of memory"); f != nil {
		t.Errorf("an engine's own failure is taken for the container's: %v", f)
	}
}
