package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llenergymeasure/llem/backend"
)

// Vocabulary reads how many token ids a model in a Hugging Face folder has, and below
// which of them ordinary text lies: special tokens stand at the end, as a rule.
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
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// check refuses work that an engine would refuse in the middle of the run, or do in
// part.
func (s *Session) check(w backend.Workload) error {
	if w.OutputTokens < 1 {
		return backend.Failf(backend.ClassConfig, "set workload.output_tokens to 1 or more", "no output tokens asked for")
	}
	for _, p := range w.Requests {
		if len(p.Tokens) == 0 {
			return backend.Failf(backend.ClassConfig, "remove the empty prompt", "prompt %d has no tokens", p.ID)
		}
		if n := len(p.Tokens) + w.OutputTokens; n > s.spec.MaxContext {
			return backend.Failf(backend.ClassKVTooSmall, "use shorter prompts or fewer output tokens",
				"prompt %d needs a context of %d tokens, the server was started for %d", p.ID, n, s.spec.MaxContext)
		}
		for _, id := range p.Tokens {
			if id < 0 || s.loaded.Vocab > 0 && int(id) >= s.loaded.Vocab {
				return backend.Failf(backend.ClassConfig, "use the tokenizer of this model",
					"prompt %d contains token id %d outside the vocabulary of %d", p.ID, id, s.loaded.Vocab)
			}
		}
	}
	return nil
}
