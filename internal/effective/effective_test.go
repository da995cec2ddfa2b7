package effective

import (
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/engine"
)

// section is a section of an invented engine.
type section struct {
	batch, chunk int
	share        float64
	attention    string
	cache        string
	sizes        string
	device       string
	graphs       engine.Toggle
}

func (s *section) Fields() []engine.Field {
	return append([]engine.Field{
		engine.Whole(&s.batch, "batch_size", 1, 99, "x"),
		engine.Text(&s.device, "device", "a device", "x"),
	}, engine.Optional(
		engine.Text(&s.attention, "attention_backend", "a backend", "x"),
		engine.Text(&s.cache, "kv_cache_dtype", "a type", "x"),
		engine.Number(&s.share, "share", 0, 1, "x"),
		engine.Whole(&s.chunk, "chunk", 1, 9999, "x"),
		engine.List(&s.sizes, "sizes", "sizes", `.*`, "x"),
		engine.Switch(&s.graphs, "graphs", "x"),
	)...)
}

var made = &engine.Descriptor{Name: "made", Section: func() engine.Section {
	return &section{batch: 1, device: "auto"}
}}

// TestOf: a replaced setting is named with both values, a synonym is not, and a setting that was given but not
// read back is listed.
func TestOf(t *testing.T) {
	asked := engine.JSON(`{"batch_size":8,"device":"cuda","attention_backend":"FLASHINFER","kv_cache_dtype":"fp8",` +
		`"share":0.9,"chunk":512,"sizes":"1,2,4","graphs":true}`)
	r := Of(made, asked, "bfloat16", map[string]string{"dtype": "torch.bfloat16", "batch_size": "8", "device": "cuda:0",
		"attention_backend": "FLASH_ATTN", "kv_cache_dtype": "fp8_e4m3", "share": "0.9000000001", "sizes": "[1, 2, 4]",
		"graphs": "False", "blocks": "77"})
	if want := []string{"made.attention_backend", "made.graphs"}; !slices.Equal(r.Overridden, want) {
		t.Errorf("overridden %q, want %q", r.Overridden, want)
	}
	if len(r.Messages) != 2 || r.Messages[0] != "made.attention_backend: requested FLASHINFER, used FLASH_ATTN" {
		t.Errorf("messages %q", r.Messages)
	}
	if want := []string{"made.chunk"}; !slices.Equal(r.Unread, want) {
		t.Errorf("unread %q, want %q", r.Unread, want)
	}
	if len(r.Others) != 1 || r.Others["blocks"] != "77" {
		t.Errorf("others %v", r.Others)
	}
	if len(r.Used) != 8 || r.Used["made.attention_backend"] != "FLASH_ATTN" || r.Used["dtype"] != "torch.bfloat16" {
		t.Errorf("used %v", r.Used)
	}
}

// TestSilent: nothing is reported for an engine that reports nothing, and auto matches any value.
func TestSilent(t *testing.T) {
	r := Of(made, `{"batch_size":8,"device":"auto"}`, "auto", nil)
	if len(r.Overridden)+len(r.Unread)+len(r.Used) > 0 {
		t.Errorf("%+v", r)
	}
	r = Of(made, `{"batch_size":8,"device":"auto","kv_cache_dtype":"auto"}`, "auto",
		map[string]string{"dtype": "float16", "device": "cpu", "kv_cache_dtype": "bfloat16"})
	if len(r.Overridden)+len(r.Unread) > 0 || len(r.Used) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestDifferences(t *testing.T) {
	a := map[string]string{"dtype": "bfloat16", "v.attention": "FLASH_ATTN", "v.max": "8", "v.only": "1"}
	b := map[string]string{"dtype": "torch.bfloat16", "v.attention": "TRITON", "v.max": "16"}
	got := Differences(a, b, func(key string) bool { return key == "v.max" })
	if len(got) != 1 || got[0].String() != "v.attention: FLASH_ATTN and TRITON" {
		t.Errorf("%v", got)
	}
}
