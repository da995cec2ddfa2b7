package model

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/convert"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/shape"
)

// IsHub reports whether a name is a repository of the hub, rather than a shape, or a file or folder of this
// machine.
func IsHub(name string) bool {
	at, err := locate(name)
	return err == nil && at.kind == KindHub
}

// FileOf returns the GGUF file of this machine that a name refers to: the file itself, or the only one of a folder
// without a config.json. It reports false for any other name.
func FileOf(name string) (string, bool) {
	at, err := locate(name)
	switch {
	case err != nil:
		return "", false
	case at.kind == KindGGUF:
		return at.path, true
	case at.kind != KindFolder:
		return "", false
	}
	if _, err := os.Stat(filepath.Join(at.path, "config.json")); err == nil {
		return "", false
	}
	all, _ := filepath.Glob(filepath.Join(at.path, "*.gguf"))
	return append(all, "")[0], len(all) == 1
}

// AutoDType returns the weight type that dtype auto means for an engine that reads GGUF files: the type of a GGUF
// file, or of the file that a folder of safetensors is converted to. It reads only files of this machine, and
// returns an empty type if they do not show it, for mixtures of types, and for a repository with GGUF files, one
// of which the dtype selects.
func AutoDType(name string) string {
	if path, ok := FileOf(name); ok {
		h, err := gguf.ReadFile(path)
		if err != nil {
			return ""
		}
		return string(h.DType())
	}
	at, err := locate(name)
	if err != nil {
		return ""
	}
	switch at.kind {
	case KindFolder:
		return string(convert.DType(at.path))
	case KindHub:
		dir, cached := hub.Cached(at.id)
		if files, _ := filepath.Glob(filepath.Join(dir, "*.gguf")); !cached || at.id.File != "" || len(files) > 0 {
			return ""
		}
		return string(convert.DType(dir))
	}
	return ""
}

// CheckDType refuses a dtype that an existing GGUF file does not have.
func CheckDType(name, want string, have gguf.DType) error {
	if string(have) == want {
		return nil
	}
	holds := string(have)
	if holds == "" {
		holds = "a mixture of types"
	}
	return fault.New(codes.ClassUnsupportedDType, nil, "leave dtype out (auto), or give a file with "+want+" weights",
		"%s holds %s weights, not %s", name, holds, want)
}

// Reach checks whether a model of the hub is available, and reads its architecture: from the cache if it is
// complete, otherwise with one request. Bound its time with ctx. It fetches no weights and writes nothing.
// The class of the error is codes.ClassGated for a restricted model, codes.ClassModelNotFound for a missing one, and
// codes.ClassOffline or codes.ClassDownloadFailed if the hub could not be queried. A config of an unknown architecture
// is not an error: known is false then.
func Reach(ctx context.Context, r Request) (config shape.Config, known bool, err error) {
	at, err := locate(r.Model)
	if err != nil || at.kind != KindHub {
		return shape.Config{}, false, err
	}
	h := hub.New(r.hub())
	if dir, ok := h.Complete(at.id); ok {
		config, err := shape.FromHFFolder(dir)
		return config, err == nil, nil
	}
	data, err := h.Config(ctx, at.id)
	if err != nil {
		return shape.Config{}, false, err
	}
	config, err = shape.FromHFConfig(data)
	return config, err == nil, nil
}

// described returns the architecture of a model of the hub as far as this machine knows it: from fetched files, or
// from the list of shapes, which names their sources.
func described(id hub.ID) (shape.Config, bool) {
	if dir, ok := hub.Cached(id); ok {
		if id.File != "" {
			m := Resolved{}
			if err := m.describeGGUF(filepath.Join(dir, filepath.FromSlash(id.File))); err == nil &&
				m.ConfigErr == nil {
				return m.Config, true
			}
		} else if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			if c, err := shape.FromHFFolder(dir); err == nil {
				return c, true
			}
		}
	}
	for _, s := range shape.Shapes() {
		if s.Source != "" && strings.EqualFold(s.Source, id.Name) {
			return s.Config, true
		}
	}
	return shape.Config{}, false
}

// Bare reports whether a name is a folder of this machine that has a config.json and no weights: enough for an
// estimate, but not for a run.
func Bare(name string) bool {
	at, err := locate(name)
	if err != nil || at.kind != KindFolder {
		return false
	}
	if _, err := os.Stat(filepath.Join(at.path, "config.json")); err != nil {
		return false
	}
	for _, weights := range []string{"*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf"} {
		if found, _ := filepath.Glob(filepath.Join(at.path, weights)); len(found) > 0 {
			return false
		}
	}
	return true
}
