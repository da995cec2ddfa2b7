package model

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// TestResolveOddFiles replaces each file of a folder by a named pipe or a device: neither may block, or be read
// until the memory is full.
func TestResolveOddFiles(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors.index.json",
		"model-00001-of-00001.safetensors", "model.gguf"} {
		for what, put := range map[string]func(path string) error{
			"a named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"a device":     func(path string) error { return os.Symlink("/dev/zero", path) },
		} {
			for _, format := range []string{FormatGGUF, FormatHF} {
				if name == "model.gguf" && format == FormatHF {
					continue
				}
				dir := oddFolder(t, name)
				if err := put(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() {
					_, err := s.Resolve(context.Background(), Request{Model: dir, Format: format})
					done <- err
				}()
				select {
				case err := <-done:
					if fault.Class(err) != codes.ClassCorruptModel ||
						!strings.Contains(err.Error(), name+" is "+what+", not a regular file") {
						t.Errorf("%s as %s for %s: %v", what, name, format, err)
					}
				case <-time.After(time.Minute):
					t.Fatalf("%s as %s for %s blocks", what, name, format)
				}
			}
		}
	}
}

// oddFolder is a Hugging Face folder without one of its files.
func oddFolder(t *testing.T, without string) string {
	t.Helper()
	dir, _ := hfFolder(t, "tiny-llama")
	if without == "model.gguf" { // it is the only file
		return t.TempDir()
	}
	path := filepath.Join(dir, without)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if strings.HasSuffix(without, ".safetensors") || strings.HasSuffix(without, ".index.json") {
		if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(without, ".index.json") {
			return dir
		}
		writeFile(t, filepath.Join(dir, "model.safetensors.index.json"), `{"weight_map":{"a":"`+without+`"}}`)
	}
	return dir
}
