package runners

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/note"
)

// trouble is what clients, and what they call, print when a container does not start.
var trouble = []struct {
	class note.Class
	what  string
	hint  string
	texts []string
}{
	{codes.ClassNotInstalled, "you may not use the container service",
		"`sudo usermod -aG docker $USER` and log in again, or use podman, which needs no service " +
			"(container.client: podman)",
		[]string{"permission denied while trying to connect",
			"dial unix /var/run/docker.sock: connect: permission denied"}},
	{codes.ClassNotInstalled, "the container service cannot be reached", "start it: `sudo systemctl start docker`",
		[]string{"cannot connect to the docker daemon", "failed to connect to the docker api", "error during connect",
			"cannot connect to podman"}},
	{codes.ClassImage, "the image is not on this machine", "fetch or build it",
		[]string{"no such image", "image not known", "unable to find image"}},
	{codes.ClassNotInstalled, "podman lacks a program that containers of a user need",
		"Debian: `sudo apt-get install uidmap`",
		[]string{"command required for rootless mode"}},
	{codes.ClassVersion, "the image needs a newer GPU driver", "update the driver, or take an image for an older CUDA",
		[]string{"unsatisfied condition: cuda", "unsatisfied condition: driver", "driver/library version mismatch"}},
	{codes.ClassNoDevice, "containers cannot use the GPUs",
		"install nvidia-container-toolkit and set it up: `sudo nvidia-ctk runtime configure --runtime=docker` for " +
			"docker, `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` for podman",
		[]string{"could not select device driver", "unresolvable cdi devices",
			"nvidia-container-cli: initialization error", "unknown runtime specified nvidia",
			"libnvidia-ml.so.1: cannot open shared object"}},
	{codes.ClassConfig, "the container cannot be bound to the processors that llem may use",
		"run llem without an affinity, or let the client use the cgroup controller cpuset",
		[]string{"controller `cpuset` is not available", "cpuset: no such file", "requested cpus are not available"}},
	{codes.ClassConfig, "the client sets limits that this machine does not allow",
		"put `default_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]` under [containers] of " +
			"containers.conf, within what `ulimit -Hn` and `ulimit -Hu` say",
		[]string{"setrlimit", "setting rlimit"}},
	{codes.ClassConfig, "the machine has no message queues for containers to share",
		"`sudo mkdir -p /dev/mqueue && sudo mount -t mqueue none /dev/mqueue`",
		[]string{"/dev/mqueue: no such file"}},
	{codes.ClassConfig, "the client's runtime does not start containers with the control groups of this machine",
		"name another one under [engine] of containers.conf (`runtime = \"runc\"`), or start Linux with " +
			"cgroups v2 alone",
		[]string{"cgroups in hybrid mode not supported"}},
	{codes.ClassConfig, "the container's side does not see the files of this one",
		"run llem outside of containers, or where its temporary folder (TMPDIR) and its cache are the same inside " +
			"and outside",
		[]string{"bind source path does not exist", "error mounting"}},
	{codes.ClassNotInstalled, "the image lacks a program that is needed: the engine's, or sh",
		"name the engine's program with container.program",
		[]string{"executable file not found", "no such file or directory: unknown", ": not found"}},
}

// Failure knows the text of a container that did not start; it is nil for others.
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
