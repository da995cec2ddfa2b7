package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/study"
)

// outfit prints the GPUs, and what can run engines in containers.
func outfit(b *strings.Builder, s *host.Snapshot, found []runners.Runner, c study.ContainerSection) {
	b.WriteString("\nGPUs\n")
	if len(s.GPUs) == 0 {
		b.WriteString("  none that a sensor library shows\n")
	}
	for _, g := range s.GPUs {
		fmt.Fprintf(b, "  gpu%-7d %s\n", g.Index, gpuText(g))
	}
	b.WriteString("\nRunners\n")
	fmt.Fprintf(b, "  %-11s always\n", terms.RunProcess)
	for _, r := range found {
		runnerText(b, r)
	}
	containers(b, found, c)
}

// inContainers returns the engines that can run in containers.
func inContainers() engine.Descriptors {
	return slices.DeleteFunc(engines.All(), func(d engine.Descriptor) bool { return d.Simulated })
}

// containerSettings returns the container settings of this machine.
func containerSettings(all []study.Origin) (c study.ContainerSection) {
	at := map[string]*string{"container.image": &c.Image, "container.program": &c.Program,
		"container.client": &c.Client}
	for _, o := range all {
		if p := at[o.Key]; p != nil {
			*p = o.Value
		}
	}
	return c
}

// images returns the default image of each backend.
func images(c study.ContainerSection) []string {
	var out []string
	for _, d := range inContainers() {
		out = append(out, study.Experiment{Backend: d.Name, Container: c}.Image(d.Image))
	}
	return out
}

// containers prints the image and the program of each engine, and how to get a missing image; llem
// downloads none.
func containers(b *strings.Builder, found []runners.Runner, c study.ContainerSection) {
	client := c.Client
	if client == "" || client == terms.ClientAuto {
		client = "docker"
		if i := slices.IndexFunc(found, func(r runners.Runner) bool { return r.Trouble == nil }); i >= 0 {
			client = found[i].Client
		}
	}
	b.WriteString("\nEngines in containers (runner: container)\n")
	for _, d := range inContainers() {
		e := study.Experiment{Backend: d.Name, Container: c}
		image := e.Image(d.Image)
		fmt.Fprintf(b, "  %-11s %s, program %s", d.Name, image, e.Program(d.Program))
		if slices.ContainsFunc(found,
			func(r runners.Runner) bool { return r.Client == client && slices.Contains(r.Images, image) }) {
			b.WriteString(", on this machine\n")
			continue
		}
		fmt.Fprintf(b, "; get it: %s\n", runners.GetImage(client, image, about.Recipe(&d, image)))
	}
}

func gpuText(g host.GPU) string {
	var parts []string
	for _, p := range []*string{g.Name, g.UUID} {
		if p != nil {
			parts = append(parts, *p)
		}
	}
	if g.VRAMTotalBytes != nil {
		parts = append(parts, digits.Bytes(*g.VRAMTotalBytes).String())
	}
	if g.DriverVersion != nil {
		parts = append(parts, "driver "+*g.DriverVersion)
	}
	return strings.Join(parts, ", ")
}

func runnerText(b *strings.Builder, r runners.Runner) {
	if r.Trouble != nil {
		fmt.Fprintf(b, "  %-11s not usable: %s\n", r.Client, r.Reason)
		if r.Next != "" {
			fmt.Fprintf(b, "  %-11s next: %s\n", "", r.Next)
		}
		return
	}
	gpus := "no GPUs in containers"
	if r.GPUs != "" {
		gpus = "GPUs by " + r.GPUs
	}
	fmt.Fprintf(b, "  %-11s %s, %s\n", r.Client, r.Version, gpus)
	if advice := r.GPUAdvice(); advice != "" {
		fmt.Fprintf(b, "  %-11s next: %s\n", "", advice)
	}
}
