package engine_test

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
)

// fields are a section of whatever fields a test gives it.
type fields []engine.Field

func (f *fields) Fields() []engine.Field { return *f }

// TestCheckFields: a hand-written field is checked before a study is read.
func TestCheckFields(t *testing.T) {
	var text string
	var n int
	batch := engine.Whole(&n, "batch_size", 1, 8, "the batch").Optional()
	for want, f := range map[string]engine.Field{
		"the value of x is in a *bool":        {Key: "x", Help: "h", At: new(bool)},
		"the value of x is in a <nil>":        {Key: "x", Help: "h"},
		"x accepts no text":                   {Key: "x", Help: "h", At: &text},
		"the zero value of x is \"many\"":     engine.Whole(&n, "x", 0, 9, "h").ZeroMeans("many"),
		"the zero value of x is \"c\"; want ": engine.Choice(&text, "x", "h", "a", "b").ZeroMeans("c"),
		"":                                    engine.Choice(&text, "x", "h", "a", "b").ZeroMeans("b"),
	} {
		err := engine.Check(engine.Descriptor{Name: "own", Title: "Own",
			Section: func() engine.Section { return &fields{f, batch} },
			New:     func(engine.Env) backend.Backend { return nil }})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}

// TestCheckDecoding: an engine that chooses tokens says of each setting whether it has it, and why not.
func TestCheckDecoding(t *testing.T) {
	var n int
	all := map[string]string{"temperature": "", "top_p": "", "top_k": "", "seed": "", "min_p": "",
		"repetition_penalty": ""}
	for want, d := range map[string]engine.Descriptor{
		"":                           {Decoding: all},
		"no setting decoding.beams":  {Decoding: map[string]string{"beams": ""}},
		"decoding.top_k is in both":  {Decoding: map[string]string{"temperature": ""}},
		"decoding.min_p is in both ": {Decoding: all, Lacks: map[string]string{"decoding.min_p": "why"}},
	} {
		d.Name, d.Title, d.New = "own", "Own", func(engine.Env) backend.Backend { return nil }
		d.Section = func() engine.Section {
			return &fields{engine.Whole(&n, "batch_size", 1, 8, "the batch").Optional()}
		}
		if err := engine.Check(d); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", d.Decoding, err, want)
		}
	}
}
