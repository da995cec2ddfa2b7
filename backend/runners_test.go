package backend_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/runners"
)

func TestRunners(t *testing.T) {
	fakeDocker(t, "docker")
	got := runners.Look("llem-embedded", "llem-pytorch", "vllm/vllm-openai", "vllm/vllm-openai:v0.11.0")
	want := []runners.Runner{
		{Client: "docker", Version: "28.5.1", GPUs: "the service's nvidia runtime",
			Images: []string{"llem-embedded", "llem-pytorch", "vllm/vllm-openai:v0.11.0"}},
		{Client: "podman"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(runners.Runner{}, "Trouble", "Reason", "Next")); diff != "" {
		t.Errorf("runners (-want +got):\n%s", diff)
	}
	if got[0].Trouble != nil {
		t.Errorf("docker: %v", got[0].Trouble)
	}
	if got[0].Reason != "" || got[1].Reason == "" || got[1].Next == "" {
		t.Errorf("reasons %q and %q, next %q", got[0].Reason, got[1].Reason, got[1].Next)
	}
	failure{codes.ClassNotInstalled, "no podman in PATH", "apt-get install podman", ""}.check(t, got[1].Trouble)
}

func TestRunnersOutOfReach(t *testing.T) {
	for mode, want := range map[string]failure{
		"daemon down": {codes.ClassNotInstalled, "cannot be reached", "systemctl start docker", ""},
		"not allowed": {codes.ClassNotInstalled, "no permission to use", "usermod", ""},
		"odd":         {codes.ClassNotInstalled, "does not report its version", "docker version", ""},
	} {
		fakeDocker(t, "docker")
		t.Setenv("LLEM_TEST_DOCKER", mode)
		want.check(t, runners.Look()[0].Trouble)
	}
}
