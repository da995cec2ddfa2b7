package engines

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/runners"
)

// TestDescriptors checks each engine's descriptor.
func TestDescriptors(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range All() {
		if err := engine.Check(d); err != nil {
			t.Error(err)
		}
		if seen[d.Name] {
			t.Errorf("%s is listed twice", d.Name)
		}
		seen[d.Name] = true
		if got := d.New(engine.Env{}).Name(); got != d.Name {
			t.Errorf("the backend of %s calls itself %s", d.Name, got)
		}
	}
}

// TestDocsHaveTheImages: the table of images in docs/backends.md matches the descriptors.
func TestDocsHaveTheImages(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "backends.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range All() {
		image := cmp.Or(d.Image, "llem-"+d.Name)
		row := fmt.Sprintf("\n| `%s` | `%s` | `%s`", d.Name, image, d.Program)
		get := "`" + runners.GetImage("docker", image, about.Recipe(&d, image)) + "`"
		if _, rest, found := strings.Cut(string(text), row); !d.Simulated &&
			(!found || !strings.Contains(rest[:strings.Index(rest, "\n")], get)) {
			t.Errorf("docs/backends.md has no row %s … %s", strings.TrimSpace(row), get)
		}
	}
}

// TestImages: an engine without an image of its makers has one that docker/ builds.
func TestImages(t *testing.T) {
	for _, d := range All() {
		if d.Image != "" || d.Simulated {
			continue
		}
		file := filepath.Join("..", "..", "docker", d.Name+".Dockerfile")
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
		image := "llem-" + d.Name
		if got := runners.GetImage("docker", image, about.Recipe(&d, image)); !strings.HasPrefix(got, "docker build ") {
			t.Errorf("the image of %s is got by %q, but docker/ builds it", d.Name, got)
		}
	}
}
