// Package convert turns a Hugging Face folder into the one GGUF file that the
// embedded engine opens.
package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ollama "github.com/ollama/ollama/convert"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
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

// Options say how a folder is converted.
type Options struct {
	DType gguf.DType // of the matrices; "" keeps what is stored
	// RopeTheta and RopeLocalTheta are the rotary bases, which config.json gives
	// in more than one form; RopeLocalTheta is 0 where layers do not differ.
	RopeTheta, RopeLocalTheta float64
	Progress                  func(done, total int64) // bytes written; may be nil
}

// Check returns why the embedded engine cannot run the model whose
// config.json is in dir, or nil.
func Check(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return fault.New(fault.NotFound, err, "name a Hugging Face model folder",
			"cannot read the configuration of %s", dir)
	}
	_, _, err = engineConfig(raw, Options{})
	return err
}

// engineConfig adapts config.json to what the converter understands, and says
// which class the model really is.
func engineConfig(raw []byte, o Options) (config []byte, class string, err error) {
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, "", fault.New(fault.Corrupt, err, "download the model again", "config.json is not valid JSON")
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
		return nil, "", fault.New(fault.UnsupportedModel, nil,
			"it runs "+strings.Join(known, ", ")+"; use a Python backend for others",
			"the embedded engine cannot run architecture %q", class)
	}
	if m["quantization_config"] != nil {
		return nil, "", fault.New(fault.UnsupportedDType, nil,
			"use the unquantized model, a GGUF file, or a Python backend",
			"quantized safetensors cannot be converted")
	}
	if as != "" {
		m["architectures"] = []string{as}
	}
	m["rope_theta"] = o.RopeTheta
	if o.RopeLocalTheta > 0 {
		m["rope_local_base_freq"] = o.RopeLocalTheta
	}
	if config, err = json.Marshal(m); err != nil {
		return nil, "", fmt.Errorf("encoding config.json: %w", err)
	}
	return config, class, nil
}

// Folder writes the GGUF file made of the folder dir at path, or nothing.
func Folder(ctx context.Context, dir, path string, o Options) error {
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return fault.New(fault.NotFound, err, "name a Hugging Face model folder",
			"cannot read the configuration of %s", dir)
	}
	config, class, err := engineConfig(raw, o)
	if err != nil {
		return fmt.Errorf("converting %s: %w", dir, err)
	}
	size, err := weightBytes(dir)
	if err != nil {
		return err
	}
	first := path + ".tmp-converted"
	defer os.Remove(first)
	err = disk.Replace(first, size, func(f *os.File) error {
		// The converter knows no context: closing its file ends it.
		stop := context.AfterFunc(ctx, func() { _ = f.Close() })
		err := runConverter(configFS{os.DirFS(dir), config}, f)
		if !stop() && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
	if err == nil {
		err = finishConversion(ctx, first, path, conversion{config, class, o})
	}
	var known *fault.Error
	if err == nil || errors.As(err, &known) || ctx.Err() != nil {
		return disk.WriteError(path, size, err)
	}
	if w := disk.WriteError(path, size, err); fault.Class(w) == fault.DiskFull || fault.Class(w) == fault.Permission {
		return w
	}
	return fault.New(fault.Corrupt, err, "check that the folder is complete, or download it again",
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
				return 0, fault.New(fault.Corrupt, err, "download the model again", "cannot read %s", f)
			}
			size += st.Size()
		}
		if size > 0 {
			return size, nil
		}
	}
	return 0, fault.New(fault.NotFound, nil, "download the weights too, or use random:<shape>",
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
	return ollama.ConvertModel(fsys, f)
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
