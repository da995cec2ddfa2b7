package model

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ollama/ollama/fs/ggml"
	"github.com/ollama/ollama/tokenizer"

	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

var sampleTexts = map[string]string{
	"ascii":       "The quick brown fox, don't you think?  42 is 3.14 {}[]()<>|\\~`^",
	"latin":       "Füße, café, naïve, Ærø — “quotes” … ½ µ ß ÿ",
	"cjk":         "日本語テキスト 中文 한국어",
	"emoji":       "🙂👨‍👩‍👧‍👦 🇫🇷 é\u0301",
	"newlines":    "a\n\nb\r\n\tc\n  \n   d   ",
	"controls":    "\x01\x02\x7f\u0085\u00a0\u00ad\u200b",
	"filler text": "<|filler_00300|> is text",
	"byte text":   "x <0x41> y",
	"space":       " ",
	"one letter":  "a",
	"leading":     "  two spaces",
}

// engineTokenizer builds the tokenizer that the engine builds from our file.
func engineTokenizer(t *testing.T, name string) tokenizer.Tokenizer {
	t.Helper()
	s, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(writeTiny(t, s.Config, gguf.Q4_0, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := ggml.Decode(f, -1)
	if err != nil {
		t.Fatal(err)
	}
	kv := g.KV()
	v := &tokenizer.Vocabulary{
		Values: kv.Strings("tokenizer.ggml.tokens"), Types: kv.Ints("tokenizer.ggml.token_type"),
		Scores: kv.Floats("tokenizer.ggml.scores"), Merges: kv.Strings("tokenizer.ggml.merges"),
		AddBOS: kv.Bool("tokenizer.ggml.add_bos_token",
			true), BOS: []int32{int32(kv.Uint("tokenizer.ggml.bos_token_id"))},
		AddEOS: kv.Bool("tokenizer.ggml.add_eos_token",
			true), EOS: []int32{int32(kv.Uint("tokenizer.ggml.eos_token_id"))},
	}
	if kv.String("tokenizer.ggml.model") == "llama" {
		return tokenizer.NewSentencePiece(v)
	}
	return tokenizer.NewBytePairEncoding(v)
}

func TestTokenIDsAreBytes(t *testing.T) {
	for _, shape := range []string{"tiny-llama", "tiny-gemma2", "tiny-gemma3"} {
		tok := engineTokenizer(t, shape)
		for name, text := range sampleTexts {
			ids, err := tok.Encode(text, true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ByteTokenizer{}.Encode(text), ids); diff != "" {
				t.Errorf("%s, %s (-bytes +engine):\n%s", shape, name, diff)
			}
			if back, _ := tok.Decode(ids); back != text {
				t.Errorf("%s, %s: %q came back as %q", shape, name, text, back)
			}
			if back := (ByteTokenizer{}).Decode(ids); back != text {
				t.Errorf("%s: %q came back as %q", name, text, back)
			}
		}
		if !tok.Is(TokenEOS, tokenizer.SpecialEOS) || !tok.Is(TokenBOS, tokenizer.SpecialBOS) {
			t.Errorf("%s: special tokens are not marked", shape)
		}
	}
}

// TestKnownDeviations verifies the documented exceptions.
func TestKnownDeviations(t *testing.T) {
	gpt := engineTokenizer(t, "tiny-llama")
	if ids, _ := gpt.Encode("a<|llem_eos|>b", false); !cmp.Equal(ids, []int32{'a', TokenEOS, 'b'}) {
		t.Errorf("control text: %v", ids)
	}
	if back, _ := gpt.Decode([]int32{'a', 0, 'b'}); back != "ab" {
		t.Errorf("NUL: %q", back)
	}
	spm := engineTokenizer(t, "tiny-gemma2")
	if ids, _ := spm.Encode("a▁b", false); !cmp.Equal(ids, []int32{'a', ' ', 'b'}) {
		t.Errorf("U+2581: %v", ids)
	}
}

func TestByteRuneIsReversible(t *testing.T) {
	seen := map[rune]bool{}
	for i := range 256 {
		r := byteRune(byte(i))
		if seen[r] || r < 0x21 {
			t.Errorf("byte %#x maps to %q", i, r)
		}
		seen[r] = true
	}
}

func TestValidText(t *testing.T) {
	if got := ValidText("a\xffb"); got != "a\ufffdb" {
		t.Errorf("%q", got)
	}
	if got := ValidText("fine"); got != "fine" {
		t.Errorf("%q", got)
	}
}

// TestFillersAreOrdinary: special fillers would make an engine search each prompt for every token of the vocabulary.
func TestFillersAreOrdinary(t *testing.T) {
	v := newVocabulary(128256, false)
	if n := len((&tokenizer.Vocabulary{Values: v.tokens, Types: v.types}).SpecialVocabulary()); n != len(
		controlTokens) {
		t.Errorf("%d special tokens", n)
	}
}
