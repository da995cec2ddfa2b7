package model

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/convert"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/shape"
)

// Formats that [Store.Resolve] returns.
const (
	FormatGGUF = "gguf" // one file, for the embedded engine and llama.cpp
	FormatHF   = "hf"   // a Hugging Face folder, for Python engines
)

// Sources of a resolved model.
const (
	KindRandom = "random" // generated
	KindGGUF   = "gguf"   // a user's .gguf file
	KindFolder = "folder" // a user's Hugging Face folder
	KindHub    = "hub"    // downloaded
)

// Request is which model is wanted and in what form. Only Model is required.
type Request struct {
	// Model is random:<shape>, a .gguf file, a Hugging Face folder, or a hub
	// id org/name[@revision][:file.gguf].
	Model string
	// Format is FormatGGUF (the default) or FormatHF.
	Format string
	// DType is the type of written weights: of random ones, and of a Hugging Face folder that is converted to GGUF. It
	// also selects one of several GGUF files of a repository; an existing GGUF file stays as it is, so compare
	// Resolved.DType. Empty or "auto" keeps the stored type; for random weights it means float16, or bfloat16 for
	// Python.
	DType string
	Seed  uint64 // of random weights

	HTTP     *http.Client // nil for a client with default timeouts
	Endpoint string       // of the hub; empty for $HF_ENDPOINT, then huggingface.co
	Token    string       // for the hub; empty for $HF_TOKEN

	Progress func(done, total int64) // bytes written or downloaded; may be nil
}

// hub returns the hub's part of the request.
func (r Request) hub() hub.Options {
	o := hub.Options{HTTP: r.HTTP, Endpoint: r.Endpoint, Token: r.Token, NoGGUF: r.Format == FormatHF,
		Progress: r.Progress}
	if r.Format == FormatGGUF {
		o.NoTorch, o.Usable = true, convert.Check
	}
	return o
}

// Resolved is a model that an engine can open.
type Resolved struct {
	Name      string     // as in results: the shape, the hub id, or the file's name
	Kind      string     // one of the Kind constants
	Format    string     // of Path
	Path      string     // a GGUF file or a Hugging Face folder
	Revision  string     // the commit, for a model of the hub
	DType     gguf.DType // of the weights in a GGUF file, "" for a mixture that this package cannot write
	Synthetic bool       // random weights
	Parts     int        // of a GGUF model; 1 is a whole file, 0 a folder

	Config shape.Config
	// ConfigErr is the reason why Config is empty: the model may still run, but its parameters and FLOPs cannot be
	// counted.
	ConfigErr error
}

// Resolve finds, generates, converts or downloads a model.
func (s Store) Resolve(ctx context.Context, r Request) (Resolved, error) {
	if r.Format == "" {
		r.Format = FormatGGUF
	}
	at, err := locate(r.Model)
	if err != nil {
		return Resolved{}, err
	}
	switch at.kind {
	case KindRandom:
		return s.resolveRandom(ctx, r, at.shape)
	case KindFolder:
		return s.resolveFolder(ctx, r, at.path)
	case KindGGUF:
		return resolveFile(r, at.path)
	}
	return s.resolveHub(ctx, r, at.id)
}

// Check reports what is wrong with a model as far as that is known without generating, converting or downloading
// anything.
func Check(r Request) error {
	at, err := locate(r.Model)
	if err != nil {
		return err
	}
	switch at.kind {
	case KindGGUF:
		_, err = resolveFile(r, at.path)
	case KindFolder:
		_, err = shape.FromHFFolder(at.path)
		if _, only, problem := onlyGGUF(r, at.path, err); only {
			return problem
		}
		if fault.Class(err) == codes.ClassUnsupportedModel {
			err = nil // the engine decides
		}
		if err == nil && r.Format == FormatGGUF {
			err = convert.Check(at.path)
		}
		if err == nil {
			err = checkWeights(at.path)
		}
	}
	return err
}

// checkWeights reports files that are not weights, such as pointers of Git LFS left by a download, and files that
// cannot be read.
func checkWeights(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil //nolint:nilerr // the configuration has been read from it
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".safetensors" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := disk.Open(path, disk.Unbounded)
		if err != nil {
			return disk.ReadError(path, err)
		}
		start := make([]byte, 512)
		n, _ := f.ReadAt(start, 0)
		f.Close()
		if look, ok := disk.LookOf(start[:n]); ok {
			return fault.New(codes.ClassCorruptModel, nil, look.Next, "%s cannot be read: %v", path, look)
		}
	}
	return nil
}

// Describe reads the architecture of a model without fetching or creating anything. For a model of the hub it is
// known once the model has been fetched, or if a shape has its name.
func Describe(model string) (shape.Config, error) {
	at, err := locate(model)
	if err != nil {
		return shape.Config{}, err
	}
	switch at.kind {
	case KindRandom:
		return at.shape.Config, nil
	case KindFolder:
		if path, ok := FileOf(model); ok {
			return describeFile(path)
		}
		return shape.FromHFFolder(at.path)
	case KindGGUF:
		return describeFile(at.path)
	}
	if c, ok := described(at.id); ok {
		return c, nil
	}
	return shape.Config{}, fault.New(codes.ClassModelNotFound, nil, "run it once, or name its folder",
		"the shape of %s is unknown until it has been fetched", model)
}

func describeFile(path string) (shape.Config, error) {
	m := Resolved{}
	if err := m.describeGGUF(path); err != nil {
		return shape.Config{}, err
	}
	return m.Config, m.ConfigErr
}

// place is where a model is found.
type place struct {
	kind  string
	shape shape.Shape
	path  string
	id    hub.ID
}

// locate parses the name of a model.
func locate(model string) (place, error) {
	name := strings.TrimSpace(model)
	if rest, ok := strings.CutPrefix(strings.ToLower(name), shape.RandomPrefix); ok {
		shape, err := shape.Lookup(rest)
		return place{kind: KindRandom, shape: shape}, err
	}
	path := expandHome(name)
	st, err := os.Stat(path)
	switch {
	case name == "":
		return place{}, fault.New(codes.ClassModelNotFound, nil, modelForms, "no model named")
	case err == nil && st.IsDir():
		return place{kind: KindFolder, path: path}, nil
	case err == nil && !st.Mode().IsRegular():
		return place{}, fault.New(codes.ClassModelNotFound, nil, "give a .gguf file or a folder",
			"%s is not a regular file",
			path)
	case err == nil:
		return place{kind: KindGGUF, path: path}, nil
	case looksLikePath(name) && errors.Is(err, os.ErrPermission):
		return place{}, fault.New(codes.ClassPermission, err, "check that you may read it", "cannot open %s", path)
	case looksLikePath(name):
		return place{}, fault.New(codes.ClassModelNotFound, nil, "check the path", "no such file or folder: %s",
			path)
	}
	if id, ok := hub.ParseID(name); ok {
		return place{kind: KindHub, id: id}, nil
	}
	hint := modelForms
	if near := shape.Nearest(strings.ToLower(name)); len(near) > 0 {
		hint = "did you mean random:" + strings.Join(near, " or random:") + "? " + hint
	}
	return place{}, fault.New(codes.ClassModelNotFound, nil, hint,
		"%q is not random:SHAPE, a file or a folder, and a Hugging Face id has an owner", name)
}

const modelForms = "a model is random:<shape>, a .gguf file, a Hugging Face folder, or a Hugging Face id " +
	"with its owner, like openai-community/gpt2"

// looksLikePath reports whether s can only be a path.
func looksLikePath(s string) bool {
	return strings.HasPrefix(s, ".") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "~") ||
		strings.Count(s, "/") > 1 && !strings.ContainsAny(s, "@:") ||
		strings.HasSuffix(s, ".gguf") && !strings.Contains(s, ":")
}

func expandHome(s string) string {
	if s == "~" || strings.HasPrefix(s, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, s[1:])
		}
	}
	return s
}

// dtype returns the request's dtype or its default.
func (r Request) dtype() (gguf.DType, error) {
	switch {
	case r.DType != "" && r.DType != "auto":
		return gguf.ParseDType(r.DType)
	case r.Format == FormatHF:
		return gguf.BFloat16, nil
	}
	return gguf.Float16, nil
}

func (s Store) resolveRandom(ctx context.Context, r Request, known shape.Shape) (Resolved, error) {
	dtype, err := r.dtype()
	if err != nil {
		return Resolved{}, err
	}
	var loc Location
	if r.Format == FormatHF {
		loc, err = s.RandomHF(ctx, known, dtype)
	} else {
		loc, err = s.Random(ctx, known, dtype, r.Seed, r.Progress)
	}
	if err != nil {
		return Resolved{}, fmt.Errorf("making %s%s: %w", shape.RandomPrefix, known.Name, err)
	}
	return Resolved{
		Name: shape.RandomPrefix + known.Name, Kind: KindRandom, Format: r.Format, Path: loc.Path,
		DType: dtype, Synthetic: true, Config: known.Config,
	}, nil
}

// resolveFile resolves a user's file, which must be GGUF.
func resolveFile(r Request, path string) (Resolved, error) {
	if r.Format == FormatHF {
		return Resolved{}, fault.New(codes.ClassUnsupportedModel, nil,
			"use the embedded backend, or name a Hugging Face folder or id",
			"%s is a file, but this backend needs a Hugging Face folder", path)
	}
	out := Resolved{Name: filepath.Base(path), Kind: KindGGUF}
	err := out.describeGGUF(path)
	return out, err
}

// describeGGUF fills in what the file at path contains.
func (m *Resolved) describeGGUF(path string) error {
	h, err := shape.ReadGGUF(path)
	if err != nil {
		return err
	}
	m.Format, m.DType = FormatGGUF, h.DType()
	_, m.Parts = h.Split()
	if m.Path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("resolving %s: %w", path, err)
	}
	if m.Config, m.ConfigErr = shape.ConfigOf(h); m.ConfigErr != nil {
		m.Config = shape.Config{}
	}
	if fault.Class(m.ConfigErr) == codes.ClassCorruptModel {
		return fmt.Errorf("reading the architecture of %s: %w", path, m.ConfigErr)
	}
	return nil
}

// resolveFolder resolves a user's Hugging Face folder.
func (s Store) resolveFolder(ctx context.Context, r Request, dir string) (Resolved, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Resolved{}, fmt.Errorf("resolving %s: %w", dir, err)
	}
	return s.fromFolder(ctx, r, Resolved{Name: filepath.Base(abs), Kind: KindFolder, Path: abs})
}

// onlyGGUF finds the GGUF file of a folder without a model for Python engines, as err of [shape.FromHFFolder]
// reports. A backend that does not read such files is refused.
func onlyGGUF(r Request, dir string, err error) (file string, only bool, problem error) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.gguf"))
	switch {
	case fault.Class(err) != codes.ClassModelNotFound || len(files) == 0:
		return "", false, nil
	case r.Format == FormatHF:
		return "", true, fault.New(codes.ClassUnsupportedModel, nil, "use the embedded backend",
			"%s holds only GGUF files, but this backend needs safetensors", dir)
	case len(files) > 1:
		return "", true, fault.New(codes.ClassModelNotFound, nil, "name one of them", "%s holds %d GGUF files", dir,
			len(files))
	}
	return files[0], true, nil
}

// fromFolder completes a model whose folder is m.Path: that folder itself, the one GGUF file in it, or its
// conversion in the store.
func (s Store) fromFolder(ctx context.Context, r Request, m Resolved) (Resolved, error) {
	config, err := shape.FromHFFolder(m.Path)
	if file, only, problem := onlyGGUF(r, m.Path, err); problem != nil {
		return Resolved{}, problem
	} else if only {
		err := m.describeGGUF(file)
		return m, err
	}
	m.Config, m.ConfigErr = config, err
	switch {
	case fault.Class(err) == codes.ClassUnsupportedModel && r.Format == FormatHF:
		m.Config = shape.Config{} // the Python engine may know it
	case err != nil && fault.Class(err) != codes.ClassUnsupportedModel:
		return Resolved{}, err
	}
	if r.Format == FormatHF {
		m.Format = FormatHF
		return m, onlyFiles(m.Path)
	}
	var dtype gguf.DType // "" keeps the stored type
	if r.DType != "" && r.DType != "auto" {
		if dtype, err = gguf.ParseDType(r.DType); err != nil {
			return Resolved{}, err
		}
	}
	loc, err := s.convert(ctx, m.Path, dtype, r.Progress)
	if err != nil {
		return Resolved{}, err
	}
	err = m.describeGGUF(loc.Path)
	return m, err
}

// onlyFiles refuses a folder with pipes or devices for a Python engine, which would wait for a pipe, or read a
// device until the memory is full.
func onlyFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return disk.ReadError(dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if err := disk.Check(path, disk.Unbounded); err != nil {
				return disk.ReadError(path, err)
			}
		}
	}
	return nil
}

// resolveHub downloads a repository of the hub.
func (s Store) resolveHub(ctx context.Context, r Request, id hub.ID) (Resolved, error) {
	if id.File != "" && r.Format == FormatHF {
		return Resolved{}, fault.New(codes.ClassUnsupportedModel, nil,
			"leave out the file to use the repository's safetensors",
			"%s is a GGUF file, but this backend needs a Hugging Face folder", id.File)
	}
	dtype, err := r.dtype()
	if err != nil {
		dtype = "" // only selects one of several files
	}
	dir, commit, err := hub.New(r.hub()).Fetch(ctx, id, dtype)
	if err != nil {
		return Resolved{}, fmt.Errorf("getting %s: %w", id.Name, err)
	}
	m := Resolved{Name: id.Name, Kind: KindHub, Path: dir, Revision: commit}
	if id.File != "" {
		err := m.describeGGUF(filepath.Join(dir, filepath.FromSlash(id.File)))
		return m, err
	}
	if g, _ := filepath.Glob(filepath.Join(dir, "*.gguf")); len(g) > 1 {
		// Several were downloaded over time: the listing selected by dtype.
		for _, path := range g {
			if h, err := gguf.ReadFile(path); err == nil && h.DType() == dtype {
				err := m.describeGGUF(path)
				return m, err
			}
		}
	}
	return s.fromFolder(ctx, r, m)
}
