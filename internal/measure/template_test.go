package measure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
)

// chatty is the lab's engine with the chat template of enginefake.
type chatty struct{ *stub }

// Start gives the session.
func (e chatty) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	if _, err := e.stub.Start(ctx, spec); err != nil {
		return nil, err
	}
	return e, clock.Sleep(ctx, 0)
}

// Template implements chat.Templater.
func (chatty) Template(_ context.Context, all []chat.Conversation) ([][]int32, error) {
	out := make([][]int32, len(all))
	for i, c := range all {
		out[i] = enginefake.FakeTemplate(c)
	}
	return out, nil
}

// newChat is a lab whose model is a folder with a chat template, on an engine that reads such folders.
func newChat(t *testing.T, records string, inputTokens int) *lab {
	t.Helper()
	l := newLab(t)
	d := engines.Find(nil, "vllm")
	tiny, err := shape.Lookup("tiny-llama")
	dir := filepath.Join(t.TempDir(), "model")
	if err := errors.Join(err, model.WriteHFDir(dir, tiny.Config, gguf.BFloat16),
		os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte("{{ messages }}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	e := &l.options.Experiment
	e.Model, e.Backend, e.Section = dir, d.Name, engine.Encode(d.Section())
	e.Workload.Dataset, e.Workload.InputTokens = write(t, "chats.jsonl", records), inputTokens
	e.Workload.Prompts, e.Workload.ChatTemplate = strings.Count(records, "\n"), terms.TemplateModel
	l.options.Engine, l.options.Backend = d, chatty{l.stub}
	return l
}

// TestChatTemplate: the tokens of the template are prompt tokens, the user's text is shortened to make room for them,
// and a note tells how many they are.
func TestChatTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newChat(t, `{"prompt": "one"}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which work is your job?"}]}
`, 46)
		r := l.measure(t, result.OK)
		const short, around = int64(len("<user>one<assistant>")), int64(2*len("<user><assistant>") + len("<system>"))
		if r.Tokens.Prompt != short+46 || r.Tokens.Given != short+46 {
			t.Errorf("tokens %+v, want %d of prompts", r.Tokens, short+46)
		}
		want := "42 of the 66 prompt tokens of the workload come from the model's chat template; the text of 1 " +
			"prompt was " +
			"shortened to make it 46 tokens with the template"
		if text, _ := warned(r, codes.ChatTemplate); text != want || around != 42 {
			t.Errorf("the note is %q, want %q", text, want)
		}
		if r.Config.Workload.ChatTemplate != terms.TemplateModel {
			t.Errorf("the record's workload is %+v", r.Config.Workload)
		}
	})
}

// TestChatTemplateRefused: a template without room for text, a model without a template and an engine that cannot apply
// one are failures of what was asked for, and nothing is measured.
func TestChatTemplateRefused(t *testing.T) {
	for name, q := range map[string]struct {
		edit func(*lab)
		says string
		// started means that the engine must be asked.
		started bool
	}{
		"no room": {func(l *lab) { l.options.Experiment.Workload.InputTokens = 17 },
			"leaves no room for its text", true},
		"no template": {func(l *lab) { os.Remove(filepath.Join(l.options.Experiment.Model, "chat_template.jinja")) },
			"has no chat template", false},
		"no way": {func(l *lab) { l.options.Backend = l.stub }, "vllm has no way to put a prompt", true},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newChat(t, "{\"prompt\": \"one\"}\n", 64)
			q.edit(l)
			r := l.measure(t, result.Failed)
			if f := r.Failure; f.Class != codes.ClassConfig || !strings.Contains(f.Message, q.says) || f.Next == "" {
				t.Errorf("failure %+v, want %q and the next step", f, q.says)
			}
			if l.windows > 0 || l.loadAt > 0 != q.started {
				t.Errorf("%d windows, started at %d, want started: %t", l.windows, l.loadAt, q.started)
			}
		}))
	}
}
