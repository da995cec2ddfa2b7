package asked

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/pyjson"
)

// Vocabulary reads how many token ids a model in a Hugging Face folder has, and below which id ordinary text is:
// special tokens are usually at the end.
func Vocabulary(folder string) (size, text int, err error) {
	var config struct {
		Size int `json:"vocab_size"`
		Text struct {
			Size int `json:"vocab_size"`
		} `json:"text_config"`
	}
	if err := readJSON(filepath.Join(folder, "config.json"), &config); err != nil {
		return 0, 0, err
	}
	if size = max(config.Size, config.Text.Size); size < 1 {
		return 0, 0, fmt.Errorf("%s has no vocab_size", filepath.Join(folder, "config.json"))
	}
	text = size
	var tokenizer struct {
		Added []struct {
			ID      int  `json:"id"`
			Special bool `json:"special"`
		} `json:"added_tokens"`
	}
	// A folder without a tokenizer has no special tokens to avoid.
	if err := readJSON(filepath.Join(folder, "tokenizer.json"), &tokenizer); err != nil && !os.IsNotExist(err) {
		return 0, 0, err
	}
	for _, t := range tokenizer.Added {
		if t.Special && t.ID >= size/2 {
			text = min(text, t.ID)
		}
	}
	return size, text, nil
}

func readJSON(path string, into any) error {
	b, err := disk.ReadFile(path, disk.MaxDocument)
	if err != nil {
		return err
	}
	if err := pyjson.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
