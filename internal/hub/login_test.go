package hub

import (
	"os"
	"path/filepath"
	"testing"
)

// TestToken: the token is found where the huggingface_hub client finds it, in its order.
func TestToken(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cache := write(".cache/huggingface/token", "hf_cache\n")
	xdg := write("xdg/huggingface/token", "hf_xdg")
	hfHome := write("hf/token", "  hf_home \n")
	other := write("other", "hf_other")
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	for _, q := range []struct{ name, value, token, from string }{
		{"HOME", home, "hf_cache", cache},
		{"XDG_CACHE_HOME", filepath.Join(home, "xdg"), "hf_xdg", xdg},
		{"HF_HOME", filepath.Join(home, "hf"), "hf_home", hfHome},
		{"HF_TOKEN_PATH", other, "hf_other", other},
		{"HF_TOKEN_PATH", filepath.Join(home, "none"), "", ""},
		{"HUGGING_FACE_HUB_TOKEN", "hf_old", "hf_old", "HUGGING_FACE_HUB_TOKEN"},
		{"HF_TOKEN", " hf_env ", "hf_env", "HF_TOKEN"},
	} {
		t.Setenv(q.name, q.value)
		if token, from := Token(); token != q.token || from != q.from {
			t.Errorf("with %s=%s: %q from %q", q.name, q.value, token, from)
		}
	}
	if c := New(Options{}); c.Token != "hf_env" {
		t.Errorf("the client has the token %q", c.Token)
	}
}
