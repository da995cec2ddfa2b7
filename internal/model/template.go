package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// templateKey is the key of a chat template in tokenizer_config.json and, after a dot, in a GGUF file.
const templateKey = "chat_template"

// CheckTemplate refuses a model without its own chat template, as far as files of this machine show: engines would
// use another one. Path is a GGUF file or a folder; if empty, it is taken from the model's name, if that is a
// path.
func CheckTemplate(name, path string) error {
	if path == "" {
		at, err := locate(name)
		if err != nil || at.kind != KindFolder && at.kind != KindGGUF {
			return nil //nolint:nilerr // the model itself is checked elsewhere
		}
		path = at.path
		if file, ok := FileOf(name); ok {
			path = file
		}
	}
	if hasTemplate(path) {
		return nil
	}
	return fault.New(codes.ClassConfig, nil, "use workload.chat_template: none, or the version of the model that is "+
		"tuned for conversations", "workload.chat_template is model, but %s has no chat template", name)
}

// hasTemplate reports whether the files have a chat template. A file that cannot be read may have one.
func hasTemplate(path string) bool {
	if info, err := os.Stat(path); err != nil {
		return true
	} else if !info.IsDir() {
		h, err := gguf.ReadFile(path)
		return err != nil || h.Text("tokenizer."+templateKey) != ""
	}
	// tekken.json is Mistral's tokenizer, whose template is not a file.
	for _, file := range []string{"chat_template.jinja", "chat_template.json", "tekken.json"} {
		if _, err := os.Stat(filepath.Join(path, file)); err == nil {
			return true
		}
	}
	text, err := disk.ReadFile(filepath.Join(path, "tokenizer_config.json"), disk.MaxDocument)
	if err != nil {
		return !os.IsNotExist(err)
	}
	var config map[string]json.RawMessage
	if json.Unmarshal(text, &config) != nil {
		return true
	}
	raw := strings.TrimSpace(string(config[templateKey]))
	return raw != "" && raw != "null" && raw != `""` && raw != "[]"
}
