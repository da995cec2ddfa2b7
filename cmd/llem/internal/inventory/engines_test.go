package inventory

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

func TestOutfit(t *testing.T) {
	name, uuid, memory, driver := "NVIDIA H200", "GPU-1", int64(150e9), "570.124.06"
	s := &host.Snapshot{GPUs: []host.GPU{{Index: 1, Name: &name, UUID: &uuid, VRAMTotalBytes: &memory,
		DriverVersion: &driver}, {Index: 2}}}
	var b strings.Builder
	outfit(&b, s, []runners.Runner{
		{Client: "docker", Version: "28.5.1", GPUs: "the service's nvidia runtime", Images: []string{"llem-pytorch"}},
		{Client: "podman", Trouble: &note.Failure{}, Reason: "there is no podman in PATH",
			Next: "apt-get install podman"},
	}, containerSettings([]study.Origin{{Key: "container.image", Value: "sglang=example.org/sg:1"},
		{Key: "container.client", Value: "auto"}}))
	for _, want := range []string{
		"gpu1       NVIDIA H200, GPU-1, 140 GiB, driver 570.124.06\n",
		"  docker      28.5.1, GPUs by the service's nvidia runtime\n",
		"  pytorch     llem-pytorch, program python3, on this machine\n",
		"  sglang      example.org/sg:1, program python3; get it: docker pull example.org/sg:1\n",
		"  embedded    llem-embedded, program llem; get it: docker build -t llem-embedded -f " +
			"docker/embedded.Dockerfile .\n",
		"  llamacpp    ghcr.io/ggml-org/llama.cpp:server-cuda, program llama-server; get it: docker pull " +
			"ghcr.io/ggml-org/llama.cpp:server-cuda\n",
		"  podman      not usable: there is no podman in PATH\n              next: apt-get install podman\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	for _, name := range engines.All().Names() {
		if name != "embedded" && name != "fake" && !strings.Contains(b.String(), "\n  "+name) {
			t.Errorf("no command installs %s:\n%s", name, b.String())
		}
	}
}

// TestUnits: a number whose key does not have its unit is printed with it.
func TestUnits(t *testing.T) {
	for want, o := range map[string]study.Origin{
		"30 s": {Value: "30", Unit: "s"}, "10, 20 s": {Value: "10, 20", Unit: "s"}, "5": {Value: "5"},
		"follows other keys": {Value: "follows other keys", Unit: "s"}, "–": {Unit: "s"},
	} {
		if got := valueOf(o); got != want {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
}
