package hub

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
)

// Endpoint returns the address of the hub: $HF_ENDPOINT, then huggingface.co.
func Endpoint() string {
	return cmp.Or(strings.TrimRight(os.Getenv("HF_ENDPOINT"), "/"), "https://huggingface.co")
}

// homeDir returns the folder in which the huggingface_hub client keeps its files and its login.
func homeDir() string {
	if d := os.Getenv("HF_HOME"); d != "" {
		return d
	}
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "huggingface")
}

// Token returns the token of the user and where it is from, in the order of the huggingface_hub client: $HF_TOKEN,
// $HUGGING_FACE_HUB_TOKEN, then the file that `hf auth login` writes. Both are empty without a login.
func Token() (token, from string) {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if token := strings.TrimSpace(os.Getenv(name)); token != "" {
			return token, name
		}
	}
	file := cmp.Or(os.Getenv("HF_TOKEN_PATH"), filepath.Join(homeDir(), "token"))
	text, err := disk.ReadFile(file, mostToken)
	if token := strings.TrimSpace(string(text)); err == nil && token != "" && !strings.ContainsAny(token, "\r\n") {
		return token, file
	}
	return "", ""
}

// mostToken is the maximum size of the file with the token, in bytes.
const mostToken = 4 << 10
