package model

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/convert"
)

// runnable are the classes that convert to a file the embedded engine runs.
var runnable = map[string]string{
	"LlamaForCausalLM":   "",
	"MistralForCausalLM": "LlamaForCausalLM", // the same network under another name
	"Qwen2ForCausalLM":   "",
	"Qwen3ForCausalLM":   "Qwen2ForCausalLM", // plus two norms, see convertQwen3
	"Gemma2ForCausalLM":  "",
	"Gemma3ForCausalLM":  "",
}

// convert returns the GGUF file made from a Hugging Face folder with its
// matrices in dtype ("" keeps what is stored), converting it when it has not
// been yet or the folder has changed since.
func (s Store) convert(ctx context.Context, dir string, dtype DType, progress func(done, total int64)) (Location,
	error) {
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return Location{}, fail(ClassNotFound, err, "name a Hugging Face model folder",
			"cannot read the configuration of %s", dir)
	}
	config, class, err := engineConfig(raw)
	if err != nil {
		return Location{}, fmt.Errorf("converting %s: %w", dir, err)
	}
	stamp, err := folderStamp(dir, raw)
	if err != nil {
		return Location{}, err
	}
	path, err := s.dir("models",
		fmt.Sprintf("%s-%s-%s-v%d.gguf", filepath.Base(dir), stamp, firstOf(string(dtype), "stored"), formatVersion))
	if err != nil {
		return Location{}, err
	}
	return once(ctx, path, usableGGUF, func() error {
		return convertFolder(ctx, dir, path, folderConversion{config, class, dtype, progress})
	})
}

// folderConversion says what a folder is converted to.
type folderConversion struct {
	config   []byte // config.json for the converter
	class    string // what the model really is
	dtype    DType
	progress func(done, total int64)
}

// convertible says why the embedded engine cannot run the model whose
// config.json is in dir, or nil.
func convertible(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return fail(ClassNotFound, err, "name a Hugging Face model folder", "cannot read the configuration of %s", dir)
	}
	_, _, err = engineConfig(raw)
	return err
}

// engineConfig adapts config.json to what the converter understands, and says
// which class the model really is.
func engineConfig(raw []byte) (config []byte, class string, err error) {
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, "", fail(ClassCorrupt, err, "download the model again", "config.json is not valid JSON")
	}
	list, _ := m["architectures"].([]any)
	if len(list) > 0 {
		class, _ = list[0].(string)
	}
	as, ok := runnable[class]
	if !ok {
		var known []string
		for k := range runnable {
			known = append(known, k)
		}
		slices.Sort(known)
		return nil, "", fail(ClassUnsupportedModel, nil,
			"it runs "+strings.Join(known, ", ")+"; use a Python backend for others",
			"the embedded engine cannot run architecture %q", class)
	}
	if m["quantization_config"] != nil {
		return nil, "", fail(ClassUnsupportedDType, nil, "use the unquantized model, a GGUF file, or a Python backend",
			"quantized safetensors cannot be converted")
	}
	if as != "" {
		m["architectures"] = []string{as}
	}
	f := hfFields{m: m}
	a := hfArchs[f.text("model_type")]
	global, local := f.rope(a)
	m["rope_theta"] = global
	if local > 0 {
		m["rope_local_base_freq"] = local
	}
	if config, err = json.Marshal(m); err != nil {
		return nil, "", fmt.Errorf("encoding config.json: %w", err)
	}
	return config, class, nil
}

// folderStamp identifies the content of a folder: its configuration, and name,
// size and time of each file.
func folderStamp(dir string, config []byte) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fail(ClassPermission, err, "check that you may read it", "cannot list %s", dir)
	}
	h := sha256.New()
	h.Write(config)
	for _, e := range entries {
		st, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || st.IsDir() {
			continue
		}
		fmt.Fprintf(h, "%q %d %d\n", e.Name(), st.Size(), st.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// convertFolder writes the GGUF file at path.
func convertFolder(ctx context.Context, dir, path string, c folderConversion) error {
	size, err := weightBytes(dir)
	if err != nil {
		return err
	}
	first := path + ".tmp-converted"
	defer os.Remove(first)
	err = replaceFile(first, size, func(f *os.File) error {
		// The converter knows no context: closing its file ends it.
		stop := context.AfterFunc(ctx, func() { _ = f.Close() })
		err := runConverter(configFS{os.DirFS(dir), c.config}, f)
		if !stop() && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
	if err == nil {
		err = finishConversion(ctx, first, path, c)
	}
	var known *Error
	if err == nil || errors.As(err, &known) || ctx.Err() != nil {
		return writeError(path, size, err)
	}
	if w := writeError(path, size, err); Class(w) == ClassDiskFull || Class(w) == ClassPermission {
		return w
	}
	return fail(ClassCorrupt, err, "check that the folder is complete, or download it again",
		"cannot convert %s for the embedded engine", dir)
}

// weightBytes is the size of the weights in a folder, which must have some.
func weightBytes(dir string) (int64, error) {
	var size int64
	for _, pattern := range []string{"*.safetensors", "pytorch_model*.bin"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range files {
			st, err := os.Stat(f)
			if err != nil {
				return 0, fail(ClassCorrupt, err, "download the model again", "cannot read %s", f)
			}
			size += st.Size()
		}
		if size > 0 {
			return size, nil
		}
	}
	return 0, fail(ClassNotFound, nil, "download the weights too, or use random:<shape>",
		"%s has a config.json but no weights", dir)
}

// runConverter turns the converter's panics into errors: it panics on settings
// that it does not know.
func runConverter(fsys fs.FS, f *os.File) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the converter failed: %v", r)
		}
	}()
	return convert.ConvertModel(fsys, f)
}

// configFS is a folder whose config.json is replaced.
type configFS struct {
	fs.FS
	config []byte
}

// Open implements fs.FS.
func (c configFS) Open(name string) (fs.File, error) {
	if name == "config.json" {
		return &memFile{Reader: bytes.NewReader(c.config)}, nil
	}
	return c.FS.Open(name)
}

// memFile is a file in memory.
type memFile struct{ *bytes.Reader }

func (m *memFile) Stat() (fs.FileInfo, error) { return memInfo{m.Size()}, nil }
func (m *memFile) Close() error               { return nil }

type memInfo struct{ size int64 }

func (memInfo) Name() string       { return "config.json" }
func (i memInfo) Size() int64      { return i.size }
func (memInfo) Mode() fs.FileMode  { return 0o444 }
func (memInfo) ModTime() time.Time { return time.Time{} }
func (memInfo) IsDir() bool        { return false }
func (memInfo) Sys() any           { return nil }
