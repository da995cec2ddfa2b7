package backend

import (
	"strings"
	"testing"
)

// TestEnginesGetNoSecrets: an engine's process inherits the settings of this machine, and none of its tokens.
func TestEnginesGetNoSecrets(t *testing.T) {
	for _, name := range []string{"HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DATABASE_URL"} {
		t.Setenv(name, "sekret")
	}
	t.Setenv("CUDA_VISIBLE_DEVICES", "3")
	out, _, err := Command{Path: "env", Env: []string{"OWN=1"}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "sekret") {
		t.Errorf("the child has a secret: %s", out)
	}
	for _, want := range []string{"PATH=", "CUDA_VISIBLE_DEVICES=3", "OWN=1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the child lacks %s: %s", want, out)
		}
	}
}
