package study

import "testing"

// TestPresets: a preset means its values, values given beside it take precedence, and equal meanings have one ID.
func TestPresets(t *testing.T) {
	for text, want := range map[string]Decoding{
		"{preset: greedy}":  {},
		"{preset: sampled}": {Temperature: 1},
		"{preset: chat}":    {Temperature: 0.7, TopP: 0.95},
		"{preset: chat, temperature: 0.5, top_k: 20}": {Temperature: 0.5, TopP: 0.95, TopK: 20},
		"{preset: focused, top_p: 0.9}":               {Temperature: 0.2, TopP: 0.9},
	} {
		s, err := Parse("s.yaml", []byte("model: m/n\nbackend: sglang\ndecoding: "+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Experiments[0].Decoding; got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
	a, err := Parse("s.yaml", []byte("model: m/n\nbackend: sglang\ndecoding: {preset: chat}\n"))
	b, err2 := Parse("s.yaml", []byte("model: m/n\nbackend: sglang\ndecoding: {temperature: 0.7, top_p: 0.95}\n"))
	if err != nil || err2 != nil || a.Experiments[0].ID() != b.Experiments[0].ID() {
		t.Errorf("a preset and its values have two IDs (%v, %v)", err, err2)
	}
}
