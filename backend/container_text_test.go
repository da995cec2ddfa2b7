package backend

import "testing"

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
