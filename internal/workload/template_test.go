package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// pieces are merged into one token by the test's tokenizer, so that a longer text may have fewer tokens.
var pieces = []string{"hello", "the ", "é東", "  "}

// tokensOf returns runes and pieces, with a token before and after each turn and one for the answer.
func tokensOf(c chat.Conversation) []int32 {
	var ids []int32
	for _, m := range c {
		ids = append(ids, int32(len(m.Role)))
		for text := m.Content; text != ""; {
			n := len(pieces[0]) + 1
			for i, p := range pieces {
				if strings.HasPrefix(text, p) {
					ids, n = append(ids, int32(1000+i)), len(p)
					break
				}
			}
			if n > len(pieces[0]) {
				r, size := utf8.DecodeRuneInString(text)
				ids, n = append(ids, 2000+r), size
			}
			text = text[n:]
		}
		ids = append(ids, 1)
	}
	return append(ids, 2)
}

// counting is a template with that tokenizer that counts its calls and conversations.
type counting struct{ calls, conversations int }

func (c *counting) apply(all []chat.Conversation) ([][]int32, error) {
	c.calls++
	c.conversations += len(all)
	out := make([][]int32, len(all))
	for i, one := range all {
		out[i] = tokensOf(one)
	}
	return out, nil
}

func randomText(rng *rand.Rand) string {
	parts := append([]string{"h", "he", "hell", "x", "ö", "🙂", "t", "\xff"}, pieces...)
	var b strings.Builder
	for range rng.IntN(60) {
		b.WriteString(parts[rng.IntN(len(parts))])
	}
	return b.String() + "."
}

// TestTemplateShortens: the shortened text is the longest prefix in runes with which the prompt is short enough,
// as found by trying all; the other turns are unchanged.
func TestTemplateShortens(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		prompts := make([]Prompt, 1+rng.IntN(6))
		for i := range prompts {
			prompts[i] = Prompt{ID: fmt.Sprint(i), Text: randomText(rng)}
			if rng.IntN(2) == 0 {
				prompts[i].Messages = chat.Conversation{{Role: "system", Content: "Be brief."},
					{Role: "user", Content: prompts[i].Text}}
			}
		}
		limit := 16 + rng.IntN(40)
		var c counting
		got, err := Template(prompts, limit, c.apply)
		if err != nil {
			t.Fatal(err)
		}
		shortened := 0
		for i, p := range prompts {
			want := longestByTrying(p, limit)
			if last := want[len(want)-1]; last.Content != p.Text {
				shortened++
			}
			if !slices.Equal(got.Conversations[i], want) || !slices.Equal(got.Requests[i].Tokens, tokensOf(want)) {
				t.Fatalf("within %d tokens: %q, want %q", limit, got.Conversations[i], want)
			}
		}
		if got.Shortened != shortened {
			t.Errorf("%d prompts are reported as shortened, want %d", got.Shortened, shortened)
		}
	}
}

func longestByTrying(p Prompt, limit int) chat.Conversation {
	best := p.Conversation()
	if len(tokensOf(best)) <= limit {
		return best
	}
	f := newFit(0, p.Conversation(), 0)
	for runes := range f.ends {
		if c := f.cut(runes); len(tokensOf(c)) <= limit {
			best = c
		}
	}
	return best
}

// TestTemplateAsksRarely: a text of a million characters is shortened with few calls, all texts at once.
func TestTemplateAsksRarely(t *testing.T) {
	prompts := make([]Prompt, 10)
	for i := range prompts {
		prompts[i].Text = strings.Repeat("the book ", 10_000*(i+1))
	}
	var c counting
	got, err := Template(prompts, 500, c.apply)
	if err != nil || got.Shortened != 10 || len(got.Requests[3].Tokens) != 500 {
		t.Fatalf("%v, %d shortened", err, got.Shortened)
	}
	if c.calls > 12 || c.conversations > 300 {
		t.Errorf("it took %d calls with %d conversations", c.calls, c.conversations)
	}
}

// TestTemplateKeeps: prompts within the limit, or without one, are passed once and stay complete.
func TestTemplateKeeps(t *testing.T) {
	for _, limit := range []int{0, 100} {
		var c counting
		got, err := Template([]Prompt{{Text: "hello"}}, limit, c.apply)
		if err != nil || c.calls != 1 || got.Shortened != 0 ||
			!slices.Equal(got.Requests[0].Tokens, []int32{4, 1000, 1, 2}) {
			t.Errorf("%+v, %v after %d calls", got, err, c.calls)
		}
	}
}

// TestTemplateWithoutRoom: a template that alone has as many tokens as a prompt may have is a failure that names
// the prompt, and so is an error of the engine.
func TestTemplateWithoutRoom(t *testing.T) {
	for _, limit := range []int{2, 3} {
		_, err := Template([]Prompt{{ID: "7", Origin: "a.jsonl:3", Text: "xyz"}}, limit, new(counting).apply)
		f, ok := errors.AsType[*note.Failure](err)
		if !ok || f.Class != codes.ClassConfig || !strings.Contains(f.Error(), "a.jsonl:3: the chat template") ||
			!strings.Contains(f.Error(), "has 3 tokens around prompt 7") || !strings.Contains(f.Next, "input_tokens") {
			t.Errorf("with %d tokens: %v", limit, err)
		}
	}
	broken := errors.New("no")
	if _, err := Template([]Prompt{{Text: "a"}}, 0, func([]chat.Conversation) ([][]int32, error) {
		return nil, broken
	}); !errors.Is(err, broken) {
		t.Errorf("%v, want the engine's error", err)
	}
	for _, ids := range [][][]int32{{}, {nil}} {
		if _, err := Template([]Prompt{{Text: "a"}}, 0, func([]chat.Conversation) ([][]int32, error) {
			return ids, nil
		}); err == nil {
			t.Errorf("the answer %v is taken", ids)
		}
	}
}
