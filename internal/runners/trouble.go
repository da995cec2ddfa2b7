package runners

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/note"
)

// trouble maps what clients and their runtimes print when a container does not start to a reason and a next step.
var trouble = []struct {
	class note.Class
	what  string
	hint  string
	texts []string
}{
	{codes.ClassNotInstalled, "no permission to use the container service",
		"`sudo usermod -aG docker $USER` and log in again, or use podman, which needs no service " +
			"(container.client: podman)",
		[]string{"permission denied while trying to connect",
			"dial unix /var/run/docker.sock: connect: permission denied"}},
	{codes.ClassNotInstalled, "the container service cannot be reached", "start it: `sudo systemctl start docker`",
		[]string{"cannot connect to the docker daemon", "failed to connect to the docker api", "error during connect",
			"cannot connect to podman"}},
	{codes.ClassImage, "the image is not on this machine", "fetch or build it",
		[]string{"no such image", "image not known", "unable to find image"}},
	{codes.ClassNotInstalled, "podman lacks a program that rootless containers need",
		"Debian: `sudo apt-get install uidmap`",
		[]string{"command required for rootless mode"}},
	{codes.ClassVersion, "the image needs a newer GPU driver", "update the driver, or use an image for an older CUDA",
		[]string{"unsatisfied condition: cuda", "unsatisfied condition: driver", "driver/library version mismatch"}},
	{codes.ClassNoDevice, "containers cannot use the GPUs",
		"install nvidia-container-toolkit and configure it: `sudo nvidia-ctk runtime configure --runtime=docker` for " +
			"docker, `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` for podman",
		[]string{"could not select device driver", "unresolvable cdi devices",
			"nvidia-container-cli: initialization error", "unknown runtime specified nvidia",
			"libnvidia-ml.so.1: cannot open shared object"}},
	{codes.ClassConfig, "the container cannot be bound to llem's processors",
		"run llem without an affinity, or allow the client to use the cgroup controller cpuset",
		[]string{"controller `cpuset` is not available", "cpuset: no such file", "requested cpus are not available"}},
	{codes.ClassConfig, "the client sets limits that this machine does not allow",
		"put `default_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]` under [containers] of " +
			"containers.conf, within the limits of `ulimit -Hn` and `ulimit -Hu`",
		[]string{"setrlimit", "setting rlimit"}},
	{codes.ClassConfig, "the machine has no message queues for containers to share",
		"`sudo mkdir -p /dev/mqueue && sudo mount -t mqueue none /dev/mqueue`",
		[]string{"/dev/mqueue: no such file"}},
	{codes.ClassConfig, "the client's runtime cannot use the control groups of this machine",
		"set another one under [engine] of containers.conf (`runtime = \"runc\"`), or start Linux with " +
			"cgroups v2 only",
		[]string{"cgroups in hybrid mode not supported"}},
	{codes.ClassConfig, "the container cannot see this machine's files",
		"run llem outside of containers, or with a temporary folder (TMPDIR) and a cache that are the same inside " +
			"and outside",
		[]string{"bind source path does not exist", "error mounting"}},
	{codes.ClassNotInstalled, "the image lacks a required program: the engine's, or sh",
		"set container.program to the engine's program",
		[]string{"executable file not found", "no such file or directory: unknown", ": not found"}},
}

// Failure returns the failure for the output of a container that did not start; nil for any other output.
func Failure(text string) *note.Failure {
	for line := range strings.Lines(text) {
		low := strings.ToLower(line)
		for _, t := range trouble {
			if slices.ContainsFunc(t.texts, func(s string) bool { return strings.Contains(low, s) }) {
				return &note.Failure{Class: t.class, Message: t.what + ": " + printed.Line(line), Next: t.hint,
					LogTail: text}
			}
		}
	}
	return nil
}
