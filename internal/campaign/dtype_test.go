package campaign

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/study"
)

// TestPreflightGGUF: what a run refuses of a GGUF file, the check before it refuses as well.
func TestPreflightGGUF(t *testing.T) {
	shape, err := shape.Lookup("tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := model.WriteGGUF(t.Context(), path, shape.Config, gguf.Q8_0, 1, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at, dtype, want string
	}{
		{path, "auto", ""}, {path, "q8_0", ""}, {filepath.Dir(path), "auto", ""},
		{path, "float16", "holds q8_0 weights, not float16"},
		{filepath.Dir(path), "float16", "holds q8_0 weights, not float16"},
	} {
		s, err := study.Parse("s.yaml", []byte("backend: embedded\nmodel: "+c.at+"\ndtype: "+c.dtype+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		err = Preflight(s, &extent.Files{})
		got, _ := errors.AsType[study.Errors](err)
		if c.want == "" && err != nil || c.want != "" && (len(got) != 1 || !strings.Contains(got[0].Error(), c.want)) {
			t.Errorf("%s as %s: %v, want %q", c.at, c.dtype, err, c.want)
		}
	}
}
