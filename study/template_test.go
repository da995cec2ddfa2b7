package study

import "testing"

// TestChatTemplateNone: no chat template, in any spelling, means the same as in experiments from before there were
// templates.
func TestChatTemplateNone(t *testing.T) {
	plain := parsed(t, "model: m/n\nbackend: vllm\n").Experiments[0]
	said := parsed(t, "model: m/n\nbackend: vllm\nworkload: {chat_template: none}\n").Experiments[0]
	if said != plain || said.ID() != plain.ID() {
		t.Errorf("none is %+v with the ID %s, want %+v with %s", said, said.ID(), plain, plain.ID())
	}
}

func parsed(t *testing.T, text string) *Study {
	t.Helper()
	s, err := Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
