package convert

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTemplateFile: a chat template in its own file, as newer models have it, takes precedence over the settings.
func TestTemplateFile(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{"without the file": "old", "with the file": "new\n"} {
		if want != "old" {
			if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			os.Remove(filepath.Join(dir, "chat_template.jinja"))
		}
		var v vocabulary
		if err := v.readTemplate(dir, []byte(`"old"`)); err != nil || v.keys()["tokenizer.chat_template"] != want {
			t.Errorf("%s: %q, %v", name, v.template, err)
		}
	}
}
