package study

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// ContainerSection says in which container an engine runs, where runner asks for one. It
// belongs to the machine, and is no part of the ID.
type ContainerSection struct {
	// Image by name, or BACKEND=IMAGE for several backends, with commas between them;
	// empty is the one that the engine's makers publish, or that docker/ builds.
	Image string `json:"image,omitempty"`
	// Program of the image that is the engine, or BACKEND=PROGRAM; empty is the usual name.
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
			_, err = perBackend(v.Text, backends)
		}
		return v, err
	}
	f := wordField(key, help, k, at)
	f.Undivided, f.Optional = true, true
	return f
}

func runnerFields(backends []string) []commonKey {
	return []commonKey{
		choiceField("runner", "what the engine runs as: a process of this machine's own files, or a container",
			func(s *Experiment) *string { return &s.Runner }, terms.RunProcess, terms.RunContainer),
		perBackendField(backends, "container.image", "an image, or BACKEND=IMAGE with commas between several",
			"image of the engine; left out, that of its makers, or llem-BACKEND, which docker/ builds (`llem config` "+
				"lists them)", func(s *Experiment) *string { return &s.Container.Image }),
		perBackendField(backends, "container.program",
			"a program of the image, or BACKEND=PROGRAM with commas between several",
			"the engine in the image; left out, llem, python3, vllm and so on",
			func(s *Experiment) *string { return &s.Container.Program }),
		choiceField("container.client", "what starts containers; auto takes docker, else podman",
			func(s *Experiment) *string { return &s.Container.Client }, terms.ClientAuto, "docker", "podman"),
	}
}

// perBackend takes apart BACKEND=TEXT,…; a text without a backend is for all others, and
// stands under "". The backends that may be named are not checked where there are none.
func perBackend(text string, backends []string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			name, value = "", name
		}
		switch _, twice := out[name]; {
		case named && backends != nil && !slices.Contains(backends, name):
			return nil, grammar.Hinted("backends are "+strings.Join(backends, ", "), "names %q, which is no backend",
				name)
		case value == "":
			return nil, errors.New("has an empty part")
		case twice:
			return nil, fmt.Errorf("has two values for %s", orAll(name))
		}
		out[name] = value
	}
	return out, nil
}

func orAll(name string) string {
	if name == "" {
		return "all backends"
	}
	return name
}

func (e Experiment) ofBackend(text, usual string) string {
	all, err := perBackend(text, nil)
	if err != nil || text == "" { // mistakes are found when a study is read
		return usual
	}
	for _, name := range []string{e.Backend, ""} {
		if value, ok := all[name]; ok {
			return value
		}
	}
	return usual
}

// Image is that of the experiment's engine, where it runs in a container: usual if the
// study names none. An engine whose makers publish none has one that docker/ builds.
func (e Experiment) Image(usual string) string {
	return e.ofBackend(e.Container.Image, cmp.Or(usual, "llem-"+e.Backend))
}

// Program is the engine in that image: usual if the study names none.
func (e Experiment) Program(usual string) string { return e.ofBackend(e.Container.Program, usual) }
