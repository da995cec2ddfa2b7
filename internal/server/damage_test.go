package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/damage"
)

// damagedAnswer returns a server's stream of four tokens.
func damagedAnswer() []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := func(text string) { fmt.Fprintf(&b, "%x\r\n%s\r\n", len(text), text) }
	for i := range 4 {
		end := "null"
		if i == 3 {
			end = `"length"`
		}
		chunk(fmt.Sprintf(`data: {"choices":[{"index":0,"text":"w%d","token_ids":[%d],"finish_reason":%s}]}`+"\n\n", i,
			i+10, end))
	}
	chunk(`data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,` +
		`"prompt_tokens_details":{"cached_tokens":0}}}` + "\n\n")
	chunk("data: [DONE]\n\n")
	chunk("")
	return []byte(b.String())
}

// TestDamagedStreams reads damaged copies of a server's answer: the token counts match the intact one, or the
// request fails.
func TestDamagedStreams(t *testing.T) {
	seed := damage.Seed(t)
	f := damage.Format{Name: "stream of a server", Intact: damagedAnswer(), Read: func(said []byte) (string, error) {
		c := answering(t, said)
		status, err := c.head()
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d", status)
		}
		if err != nil {
			return "", err
		}
		s := &stream{client: &client{engine: completions{}, vocab: 300}}
		if err := s.got.readAll(c, mostBytes(3, 4, false), func(int64) {}); err != nil {
			return "", err
		}
		out := backend.Request{PromptTokens: 3}
		if err := s.interpret(&out, 4); err != nil {
			return "", err
		}
		return fmt.Sprint(out.OK, out.PromptTokens, out.PromptComputed, out.OutputTokens, len(out.TokenNS)), nil
	}}
	tally := f.Check(t, seed, damage.Number(2000, 300))
	damage.Table(t, []damage.Tally{tally})
}

// TestVocabularyAsPythonWrites: Python writes Infinity into a config.json, which JSON does not have.
func TestVocabularyAsPythonWrites(t *testing.T) {
	folder := t.TempDir()
	config := `{"vocab_size": 300, "time_step_limit": [0.0, Infinity]}`
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if size, text, err := Vocabulary(folder); size != 300 || text != 300 || err != nil {
		t.Errorf("%d, %d, %v, want 300", size, text, err)
	}
}
