package compare

import (
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestUsedDifferently: a setting that the engines chose differently is named, and one that the studies name is not.
func TestUsedDifferently(t *testing.T) {
	record := func(batch, attention, chunk string) *result.Record {
		s, err := study.New(study.Setting{Key: "model", Value: "random:tiny-llama"},
			study.Setting{Key: "backend", Value: "vllm"}, study.Setting{Key: "vllm.max_num_seqs", Value: batch})
		if err != nil {
			t.Fatal(err)
		}
		return &result.Record{Config: s.Experiments[0], Backend: result.Backend{Effective: map[string]string{
			"vllm.max_num_seqs": batch, "vllm.attention_backend": attention, "vllm.enable_chunked_prefill": chunk}}}
	}
	got := usedDifferently(record("8", "FLASH_ATTN", "true"), record("16", "TRITON_ATTN", "True"))
	want := []string{"the engines used vllm.attention_backend: A FLASH_ATTN, B TRITON_ATTN, " +
		"which the studies do not set"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
