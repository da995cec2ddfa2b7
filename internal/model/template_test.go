package model

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// TestCheckTemplate: a model whose files show that it has no chat template is refused; if they do not show it, the
// engine decides.
func TestCheckTemplate(t *testing.T) {
	for name, q := range map[string]struct {
		files map[string]string
		has   bool
	}{
		"in the tokenizer's settings": {map[string]string{"tokenizer_config.json": `{"chat_template": "{{ a }}"}`},
			true},
		"several with names": {map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": ` +
			`"a"}]}`}, true},
		"a file of its own": {map[string]string{"tokenizer_config.json": `{}`, "chat_template.jinja": "a"},
			true},
		"Mistral's tokenizer":          {map[string]string{"tekken.json": `{}`}, true},
		"settings that cannot be read": {map[string]string{"tokenizer_config.json": `{`}, true},
		"none in the settings":         {map[string]string{"tokenizer_config.json": `{"bos_token": "a"}`}, false},
		"null":                         {map[string]string{"tokenizer_config.json": `{"chat_template": null}`}, false},
		"no settings of a tokenizer":   {map[string]string{"config.json": `{}`}, false},
	} {
		dir := t.TempDir()
		for file, text := range q.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{"", dir} {
			checkTemplate(t, name, dir, path, q.has)
		}
	}
}

// TestCheckTemplateGGUF is the same for a GGUF file, alone in a folder or not.
func TestCheckTemplateGGUF(t *testing.T) {
	for name, has := range map[string]bool{"{{ a }}": true, "": false} {
		dir := t.TempDir()
		file := gguf.File{Meta: map[string]any{"general.architecture": "llama", "tokenizer.chat_template": name}}
		path := filepath.Join(dir, "m.gguf")
		if err := file.Write(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		checkTemplate(t, "a file with "+name, path, "", has)
		checkTemplate(t, "a folder with "+name, dir, "", has)
		checkTemplate(t, "a resolved file with "+name, "m/n", path, has)
	}
	for _, name := range []string{"m/n", "random:tiny-llama", "no such/model/at all"} {
		checkTemplate(t, name, name, "", true)
	}
}

func checkTemplate(t *testing.T, what, name, path string, has bool) {
	t.Helper()
	err := CheckTemplate(name, path)
	if (err == nil) != has {
		t.Errorf("%s: %v, want a template: %t", what, err, has)
		return
	}
	if e, ok := errors.AsType[*fault.Error](err); err != nil && (!ok || e.Class != codes.ClassConfig ||
		!strings.Contains(e.Next, "chat_template: none")) {
		t.Errorf("%s: %v", what, err)
	}
}
