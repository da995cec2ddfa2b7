package backend

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/note"
)

func TestVisibleGPUs(t *testing.T) {
	two := []string{"GPU-a", "GPU-b"}
	for _, test := range []struct {
		name      string
		list      []string
		set       string
		want      []string
		variables []string
	}{
		{"none", nil, "GPU-a", nil, []string{"NVIDIA_VISIBLE_DEVICES=void"}},
		{"all", []string{"all"}, "1", []string{"all"}, nil},
		{"numbers are not passed on", two, "1", two, []string{"CUDA_VISIBLE_DEVICES=GPU-a,GPU-b"}},
		{"named", two, "GPU-b", two[1:], []string{"CUDA_VISIBLE_DEVICES=GPU-b"}},
		{"parts of one", two[:1], "MIG-2,MIG-1", []string{"MIG-2", "MIG-1"},
			[]string{"CUDA_VISIBLE_DEVICES=MIG-2,MIG-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := visible(test.list, []string{"A=b", "CUDA_VISIBLE_DEVICES=" + test.set})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("visible (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.variables, gpuVariables(got)); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserOfContainer(t *testing.T) {
	for _, test := range []struct {
		podman bool
		uid    int
		want   string
	}{
		{false, 1001, "--user 1001:100 --userns=host --group-add 1002"},
		{false, 0, "--user 0:100 --userns=host"},
		{true, 1001, "--user 1001:100 --userns=keep-id --group-add keep-groups"},
		{true, 0, "--user 0:100"},
	} {
		if got := strings.Join(userArgs(test.podman, test.uid, 100, []int{100, 1002}), " "); got != test.want {
			t.Errorf("podman %v, user %d: %s, want %s", test.podman, test.uid, got, test.want)
		}
	}
}

func TestPassedOn(t *testing.T) {
	got := passedOn([]string{"PATH=/bin", "OMP_NUM_THREADS=4", "HF_TOKEN=x", "CUDA_HOME=/usr/local/cuda",
		"VLLM_CACHE_ROOT=/scratch", "NCCL_DEBUG=INFO",
		"TORCH_SYMM_MEM_DISABLE_MULTICAST=1", "NVSHMEM_DISABLE_NVLS=1", "LLAMA_ARG_POLL=0", "VLLM_API_KEY=secret",
		"VLLM_HUB_TOKEN=x", "SGLANG_CLIENT_SECRET=x", "NCCL_PASSWORD=x", "VLLM_SECRET_ROUNDS=3"})
	if diff := cmp.Diff([]string{"OMP_NUM_THREADS=4", "NCCL_DEBUG=INFO", "TORCH_SYMM_MEM_DISABLE_MULTICAST=1",
		"NVSHMEM_DISABLE_NVLS=1", "LLAMA_ARG_POLL=0", "VLLM_SECRET_ROUNDS=3"}, got); diff != "" {
		t.Errorf("passed on (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"B=2", "A=3", "AB=4"}, lastOf([]string{"A=1", "B=2", "A=3", "AB=4"})); diff != "" {
		t.Errorf("last (-want +got):\n%s", diff)
	}
}

func TestCountList(t *testing.T) {
	for text, want := range map[string]int{"0\n": 1, "0-1": 2, "0-3,8,10-11": 7, "": 0, "x": 0} {
		if got := countList(text); got != want {
			t.Errorf("%q has %d processors, want %d", text, got, want)
		}
	}
}

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
		"Error: statfs /dev/mqueue: no such file or directory": {note.ClassConfig, "mount -t mqueue"},
		"Error: runc: runc create failed: error during container init: error setting rlimit type 6: operation " +
			"not permitted": {note.ClassConfig, "default_ulimits"},
		"Error: OCI runtime error: crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2": {
			note.ClassConfig, "runc",
		},
		`Error: command required for rootless mode with multiple IDs: exec: "newuidmap": executable file not ` +
			`found in $PATH`: {note.ClassNotInstalled, "uidmap"},
		`docker: Error response from daemon: exec: "llama-server": executable file not found in $PATH`: {
			note.ClassNotInstalled, "container.program",
		},
		"llem: 1: llama-server: not found": {note.ClassNotInstalled, "container.program"},
		`docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].`: {
			note.ClassNoDevice, "nvidia-ctk",
		},
		"Error: unable to find image 'x' locally": {
			note.ClassImage, "fetch",
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
