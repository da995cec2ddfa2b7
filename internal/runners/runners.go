// Package runners handles the programs that start containers, docker and podman: whether they can be used here,
// how they are queried, and what their errors mean.
package runners

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

// Runner is a program that starts containers, and its capabilities here.
type Runner struct {
	// Client is the name of the program: docker or podman.
	Client string `json:"client"`
	// Version of the service, or of the program if there is no service.
	Version string `json:"version,omitempty"`
	// GPUs names the mechanism that gives containers their GPUs; empty if none was found.
	GPUs string `json:"gpus,omitempty"`
	// Images are the requested images that are on this machine.
	Images []string `json:"images,omitempty"`
	// Trouble is why it cannot be used, nil if it can; Reason and Next are its texts.
	Trouble *note.Failure `json:"-"`
	// Reason is why it cannot be used; empty if it can.
	Reason string `json:"reason,omitempty"`
	// Next is the next step.
	Next string `json:"next,omitempty"`
}

// Look looks for docker and podman, and for images.
func Look(images ...string) []Runner {
	all := []Runner{probeRunner("docker", "{{.Server.Version}}", images),
		probeRunner("podman", "{{.Client.Version}}", images)}
	for i, r := range all {
		if r.Trouble != nil {
			all[i].Reason, all[i].Next = r.Trouble.Error(), r.Trouble.Next
		}
	}
	return all
}

func probeRunner(client, version string, images []string) Runner {
	r := Runner{Client: client}
	if _, err := Find(client); err != nil {
		r.Trouble = fault.As(err)
		return r
	}
	out, err := Ask(client, "version", "--format", version)
	if err != nil {
		if r.Trouble = Failure(err.Error()); r.Trouble == nil {
			r.Trouble = &note.Failure{Class: codes.ClassNotInstalled, Message: client + " does not report its version",
				Err:  err,
				Next: "try `" + client + " version`"}
		}
		return r
	}
	r.Version = strings.TrimSpace(string(out))
	r.GPUs = toolkit(client)
	if out, err := Ask(client, "images", "--format", "{{.Repository}}:{{.Tag}}"); err == nil {
		here := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			here[shortImage(strings.TrimSpace(line))] = true
		}
		for _, image := range images {
			if here[shortImage(image)] {
				r.Images = append(r.Images, image)
			}
		}
	}
	return r
}

// shortImage removes what clients add to an image's name: podman its registry, and both the default tag.
func shortImage(name string) string {
	for _, from := range []string{"localhost/", "docker.io/library/", "docker.io/"} {
		name = strings.TrimPrefix(name, from)
	}
	return strings.TrimSuffix(name, ":latest")
}

// toolkit finds what gives GPUs to a client's containers.
func toolkit(client string) string {
	if client == "docker" {
		if out, err := Ask(client, "info", "--format", "{{json .Runtimes}}"); err == nil &&
			strings.Contains(string(out), `"nvidia"`) {
			return "the service's nvidia runtime"
		}
		for _, hook := range []string{"nvidia-container-runtime-hook", "nvidia-container-toolkit"} {
			if path, err := exec.LookPath(hook); err == nil {
				return path // docker's --gpus finds it itself
			}
		}
		return ""
	}
	return cdiFile("/")
}

// cdiFile finds the description of NVIDIA devices in the Container Device Interface.
func cdiFile(root string) string {
	for _, pattern := range []string{"etc/cdi/*nvidia*", "var/run/cdi/*nvidia*"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// GPUAdvice returns the next step if there is an NVIDIA driver and a runner that cannot use its GPUs; empty
// otherwise.
func (r Runner) GPUAdvice() string {
	if _, err := os.Stat("/dev/nvidiactl"); err != nil || r.GPUs != "" || r.Trouble != nil {
		return ""
	}
	return cmp.Or(map[string]string{"podman": "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"}[r.Client],
		"sudo apt-get install nvidia-container-toolkit && sudo nvidia-ctk runtime configure --runtime=docker && "+
			"sudo systemctl restart docker")
}
