package convert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/pyjson"
)

// vocabulary is the tokenizer as a GGUF file stores it.
type vocabulary struct {
	model  string // "gpt2" is byte-level BPE, "llama" is SentencePiece
	pre    string // how the engine splits text before BPE
	tokens []string
	scores []float32
	types  []int32
	merges []string

	template string // of chats
	specials []special
}

// special is a token with a role, such as the end of a text.
type special struct {
	role string
	id   uint32
	add  bool    // added around every text
	ids  []int32 // if several tokens have the role
}

// roles maps the names of special tokens in Hugging Face files to their names in GGUF files.
func roles() map[string]string {
	return map[string]string{
		"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding", "cls": "cls", "mask": "mask",
		"sep": "seperator", //nolint:misspell // so spelt in the file format
	}
}

// maxTokens is far above any real vocabulary.
const maxTokens = 1 << 24

// readVocabulary reads the tokenizer of a folder. tokenizer.model gives the tokens if it exists, otherwise
// tokenizer.json. In both cases tokenizer.json gives the merges and the ids of special tokens.
func readVocabulary(dir string) (*vocabulary, error) {
	var hf hfTokenizer
	haveHF, err := readJSON(dir, "tokenizer.json", &hf)
	if err != nil {
		return nil, err
	}
	v := &vocabulary{model: "gpt2", pre: "default"}
	piece, err := disk.ReadFile(filepath.Join(dir, "tokenizer.model"), disk.MaxDocument)
	switch {
	case err == nil:
		v.model = "llama"
		err = v.readSentencePiece(dir, piece)
	case !errors.Is(err, fs.ErrNotExist):
	case haveHF:
		err = v.readTokens(hf)
	default:
		err = errors.New("there is no tokenizer.json and no tokenizer.model")
	}
	if err != nil {
		return nil, err
	}
	if haveHF {
		if v.merges, err = hf.merges(); err != nil {
			return nil, err
		}
		v.pre = hf.pre()
	}
	return v, v.readSpecials(dir, hf.Added)
}

// readJSON decodes a file of the folder, and reports whether it exists.
func readJSON(dir, name string, v any) (bool, error) {
	b, err := disk.ReadFile(filepath.Join(dir, name), disk.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, disk.ReadError(name, err)
	}
	if err := pyjson.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// hfTokenizer is the part of tokenizer.json that is used.
type hfTokenizer struct {
	Added []addedToken `json:"added_tokens"`
	Model struct {
		Vocab  map[string]int  `json:"vocab"`
		Merges json.RawMessage `json:"merges"`
	} `json:"model"`
	PreTokenizer struct {
		Steps []struct {
			Type    string `json:"type"`
			Pattern struct {
				Regex string `json:"Regex"`
			} `json:"pattern"`
		} `json:"pretokenizers"`
	} `json:"pre_tokenizer"`
}

type addedToken struct {
	ID      int    `json:"id"`
	Text    string `json:"content"`
	Special bool   `json:"special"`
}

// merges reads the pairs of BPE, which are strings or lists of two strings.
func (hf hfTokenizer) merges() ([]string, error) {
	if len(hf.Model.Merges) == 0 {
		return nil, nil
	}
	var lines []string
	if json.Unmarshal(hf.Model.Merges, &lines) == nil {
		return lines, nil
	}
	var pairs [][]string
	if err := json.Unmarshal(hf.Model.Merges, &pairs); err != nil {
		return nil, fmt.Errorf("tokenizer.json: merges are not strings or pairs of strings: %w", err)
	}
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = strings.Join(p, " ")
	}
	return out, nil
}

// pre names the way in which text is split before BPE. The engine knows some by name; the name is found by the
// SHA-256 of the tokenizer's regular expressions.
func (hf hfTokenizer) pre() string {
	sum := sha256.New()
	for _, s := range hf.PreTokenizer.Steps {
		if s.Type == "Split" {
			sum.Write([]byte(s.Pattern.Regex))
		}
	}
	switch hex.EncodeToString(sum.Sum(nil)) {
	case "d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f":
		return "llama-bpe"
	case "03df5c5863ad70781dcfdef491ead25140f895fe8010964be0daefe27be32b02":
		return "deepseek-llm"
	case "21cde974d587f0d54dc8d56b183cc1e6239600172035c68fbd6d4b9f8da0576e":
		return "deepseek-coder"
	case "1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e":
		return "qwen2"
	case "00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba":
		return "qwen35"
	}
	return "default"
}

// readTokens reads the tokens of tokenizer.json in the order of their ids. An id is a row of the embedding matrix,
// so an id without a token keeps its row.
func (v *vocabulary) readTokens(hf hfTokenizer) error {
	type token struct {
		text string
		kind int32
	}
	byID := make(map[int]token, len(hf.Model.Vocab)+len(hf.Added))
	last := -1
	put := func(id int, t token) error {
		if id < 0 || id >= maxTokens {
			return fmt.Errorf("tokenizer.json: token %q has id %d", t.text, id)
		}
		byID[id], last = t, max(last, id)
		return nil
	}
	for text, id := range hf.Model.Vocab {
		if err := put(id, token{text, gguf.TokenNormal}); err != nil {
			return err
		}
	}
	for _, a := range hf.Added {
		kind := gguf.TokenUser
		if a.Special {
			kind = gguf.TokenControl
		}
		if err := put(a.ID, token{a.Text, kind}); err != nil {
			return err
		}
	}
	for id := range last + 1 {
		t, ok := byID[id]
		if !ok {
			t = token{fmt.Sprintf("[UNUSED%d]", id), gguf.TokenUnused}
		}
		v.add(t.text, float32(id), t.kind)
	}
	return nil
}

func (v *vocabulary) add(text string, score float32, kind int32) {
	v.tokens, v.scores, v.types = append(v.tokens, text), append(v.scores, score), append(v.types, kind)
}

// pad adds tokens up to the size of the embedding matrix.
func (v *vocabulary) pad(size int) {
	for i := range min(size, maxTokens) - len(v.tokens) {
		v.add(fmt.Sprintf("[PAD%d]", i), -1, gguf.TokenUser)
	}
}

// readSpecials reads the roles of tokens: their texts from tokenizer_config.json,
// their ids from the added tokens, and further ids from generation_config.json.
func (v *vocabulary) readSpecials(dir string, added []addedToken) error {
	var config, generation map[string]json.RawMessage
	if _, err := readJSON(dir, "tokenizer_config.json", &config); err != nil {
		return err
	}
	if _, err := readJSON(dir, "generation_config.json", &generation); err != nil {
		return err
	}
	if err := v.readTemplate(dir, config["chat_template"]); err != nil {
		return err
	}
	ids := make(map[string]int, len(added))
	for _, a := range added {
		ids[a.Text] = a.ID
	}
	known := roles()
	for _, role := range sorted(known) {
		s := special{role: known[role]}
		if raw, ok := config["add_"+role+"_token"]; ok {
			if err := json.Unmarshal(raw, &s.add); err != nil {
				return fmt.Errorf("tokenizer_config.json: add_%s_token: %w", role, err)
			}
		}
		id, ok := ids[tokenText(config[role+"_token"])]
		if !ok {
			continue
		}
		s.id = uint32(id)
		if json.Unmarshal(generation[role+"_token_id"], &s.ids) != nil {
			s.ids = nil // one id, which is already known
		}
		v.specials = append(v.specials, s)
	}
	return nil
}

// tokenText returns the text of a token that is written as a string or as an object.
func tokenText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var token addedToken
	_ = json.Unmarshal(raw, &token) // anything else is not a token
	return token.Text
}

// readTemplate reads the chat template: from its own file, or from the tokenizer's settings, which may hold
// several with names.
func (v *vocabulary) readTemplate(dir string, raw json.RawMessage) error {
	const file = "chat_template.jinja"
	switch b, err := disk.ReadFile(filepath.Join(dir, file), disk.MaxDocument); {
	case err == nil:
		v.template = string(b)
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return disk.ReadError(file, err)
	}
	if raw == nil || json.Unmarshal(raw, &v.template) == nil {
		return nil
	}
	var named []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return errors.New("tokenizer_config.json: chat_template is not a text or a list of named texts")
	}
	for _, t := range named {
		if t.Name == "default" {
			v.template = t.Template
			return nil
		}
	}
	return nil
}

// keys returns the metadata of the vocabulary.
func (v *vocabulary) keys() map[string]any {
	kv := map[string]any{
		"tokenizer.ggml.model":      v.model,
		"tokenizer.ggml.pre":        v.pre,
		"tokenizer.ggml.tokens":     v.tokens,
		"tokenizer.ggml.scores":     v.scores,
		"tokenizer.ggml.token_type": v.types,
	}
	if len(v.merges) > 0 {
		kv["tokenizer.ggml.merges"] = v.merges
	}
	if v.template != "" {
		kv["tokenizer.chat_template"] = v.template
	}
	for _, s := range v.specials {
		kv["tokenizer.ggml.add_"+s.role+"_token"] = s.add
		kv["tokenizer.ggml."+s.role+"_token_id"] = s.id
		if len(s.ids) > 0 {
			kv["tokenizer.ggml."+s.role+"_token_ids"] = s.ids
		}
	}
	return kv
}
