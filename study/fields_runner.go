package study

import (
	"cmp"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// ContainerSection is the container in which an engine runs if runner is container. It belongs to the machine, and
// is not part of the ID.
type ContainerSection struct {
	// Image is the name of the image, or BACKEND=IMAGE for several backends, separated by commas; empty takes the
	// image that the engine's makers publish, or that docker/ builds.
	Image string `json:"image,omitempty"`
	// Program of the image that runs the engine, or BACKEND=PROGRAM; empty takes the default name.
	Program string `json:"program,omitempty"`
	// Client is docker, podman or auto.
	Client string `json:"client,omitempty"`
}

func perBackendField(backends []string, key, want, help string, at func(*Experiment) *string) commonKey {
	k := grammar.Line(want)
	plain := k.Parse
	k.Parse = func(text string) (grammar.Value, error) {
		v, err := plain(text)
		if err == nil {
			_, err = keys.PerBackend(v.Text, backends)
		}
		return v, err
	}
	f := wordField(key, help, k, at)
	f.Undivided, f.Optional = true, true
	return f
}

func runnerFields(backends []string) []commonKey {
	return []commonKey{
		choiceField("runner", "how the engine runs: as a process of this machine, or in a container",
			func(s *Experiment) *string { return &s.Runner }, terms.RunProcess, terms.RunContainer),
		perBackendField(backends, "container.image", "an image, or BACKEND=IMAGE with commas between several",
			"image of the engine; default: its makers' image, or llem-BACKEND, which docker/ builds (`llem config` "+
				"lists them)", func(s *Experiment) *string { return &s.Container.Image }),
		perBackendField(backends, "container.program",
			"a program of the image, or BACKEND=PROGRAM with commas between several",
			"the engine's program in the image; default: llem, python3, vllm and so on",
			func(s *Experiment) *string { return &s.Container.Program }),
		choiceField("container.client", "program that starts containers; auto takes docker, or podman",
			func(s *Experiment) *string { return &s.Container.Client }, terms.ClientAuto, "docker", "podman"),
	}
}

func (e Experiment) ofBackend(text, usual string) string {
	all, err := keys.PerBackend(text, nil)
	if err != nil || text == "" { // mistakes are reported when a study is read
		return usual
	}
	for _, name := range []string{e.Backend, ""} {
		if value, ok := all[name]; ok {
			return value
		}
	}
	return usual
}

// Image returns the container image of the experiment's engine: usual if the study names none. An engine without a
// published image has one that docker/ builds.
func (e Experiment) Image(usual string) string {
	return e.ofBackend(e.Container.Image, cmp.Or(usual, "llem-"+e.Backend))
}

// Program returns the engine's program in that image: usual if the study names none.
func (e Experiment) Program(usual string) string { return e.ofBackend(e.Container.Program, usual) }
