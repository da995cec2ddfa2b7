package workload

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSyntheticGolden(t *testing.T) {
	reqs, err := Synthetic(4, 16, Vocab{Size: 128256, Special: []int32{128000, 128001, 128009}}, 42)
	if err != nil {
		t.Fatal(err)
	}
	// These values are the definition of the workload: a change makes old
	// results incomparable.
	const want = "9524f25b375ba25fd8eb314f6dc025c4c6e9f64c99ef53a2b8db748a9fc16a6c"
	if got := Hash(reqs); got != want {
		t.Errorf("Hash = %s, want %s", got, want)
	}
}

func TestSynthetic(t *testing.T) {
	vocab := Vocab{Size: 100, Special: []int32{99, 0, 1, 50, 50, 4000, -3}}
	reqs, err := Synthetic(2000, 30, vocab, 1)
	if err != nil {
		t.Fatal(err)
	}
	count := map[int32]int{}
	for i, r := range reqs {
		if r.ID != i || len(r.Tokens) != 30 || r.Task != SyntheticSource {
			t.Fatalf("request %d is %+v", i, r)
		}
		for _, id := range r.Tokens {
			count[id]++
		}
	}
	const ordinary, drawn = 96, 2000 * 30
	if len(count) != ordinary {
		t.Errorf("%d different ids, want %d", len(count), ordinary)
	}
	for id, n := range count {
		if id < 0 || id >= 100 || slices.Contains(vocab.Special, id) {
			t.Errorf("id %d drawn", id)
		}
		if mean := drawn / ordinary; n < mean*4/5 || n > mean*6/5 { // five standard deviations
			t.Errorf("id %d drawn %d times, want about %d", id, n, mean)
		}
	}

	shorter, err := Synthetic(5, 30, vocab, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reqs[:5], shorter); diff != "" {
		t.Errorf("a shorter list is not the start of a longer one:\n%s", diff)
	}
	other, err := Synthetic(5, 30, vocab, 2)
	if err != nil {
		t.Fatal(err)
	}
	if Hash(other) == Hash(shorter) {
		t.Error("another seed gives the same work")
	}
}

// A small number of possible prompts forces repeats, which must be redrawn.
func TestSyntheticDistinct(t *testing.T) {
	for _, tt := range []struct{ n, length, size int }{{8, 3, 2}, {7, 1, 7}, {1, 5, 1}, {250, 2, 16}} {
		reqs, err := Synthetic(tt.n, tt.length, Vocab{Size: tt.size}, 3)
		if err != nil {
			t.Errorf("%v: %v", tt, err)
			continue
		}
		seen := map[string]bool{}
		for _, r := range reqs {
			seen[string(appendTokens(nil, r.Tokens))] = true
		}
		if len(seen) != tt.n {
			t.Errorf("%v: %d different prompts", tt, len(seen))
		}
	}
}

func TestSyntheticErrors(t *testing.T) {
	tests := []struct {
		n, length int
		vocab     Vocab
		want      string
	}{
		{0, 8, Vocab{Size: 10}, "at least 1"},
		{8, 0, Vocab{Size: 10}, "at least 1"},
		{8, 8, Vocab{}, "at least 1"},
		{8, 8, Vocab{Size: 1 << 25}, "at most"},
		{9, 3, Vocab{Size: 2}, "2 ordinary token ids cannot make 9 different prompts of 3 tokens"},
		{2, 99, Vocab{Size: 1}, "1 ordinary token ids cannot make 2"},
		{1, 1, Vocab{Size: 2, Special: []int32{0, 1}}, "0 ordinary token ids cannot make 1"},
	}
	for _, tt := range tests {
		if _, err := Synthetic(tt.n, tt.length, tt.vocab, 0); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Synthetic(%d, %d, %v) = %v, want it to contain %q", tt.n, tt.length, tt.vocab, err, tt.want)
		}
	}
}

func TestTruncate(t *testing.T) {
	prompts := []Prompt{{ID: "a", Task: "qa"}, {ID: "b", Task: "code"}}
	ids := [][]int32{{1, 2, 3, 4}, {5, 6}}
	tests := []struct {
		limit int
		want  [][]int32
	}{
		{3, [][]int32{{1, 2, 3}, {5, 6}}},
		{1, [][]int32{{1}, {5}}},
		{4, ids},
		{0, ids},
	}
	for _, tt := range tests {
		got, err := Truncate(prompts, ids, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		want := []Request{{ID: 0, Tokens: tt.want[0], Task: "qa"}, {ID: 1, Tokens: tt.want[1], Task: "code"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Truncate to %d (-want +got):\n%s", tt.limit, diff)
		}
	}
	got, err := Truncate(prompts, ids, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _ = append(got[0].Tokens, 9); ids[0][2] != 3 {
		t.Error("appending to a truncated request writes into the tokenization")
	}
}

func TestTruncateErrors(t *testing.T) {
	prompts := []Prompt{{ID: "a", Origin: "f:1"}, {ID: "b", Origin: "f:2"}}
	tests := []struct {
		ids   [][]int32
		limit int
		want  string
	}{
		{[][]int32{{1}, {}}, 4, "f:2: the tokenizer makes no tokens of prompt b"},
		{[][]int32{{1}}, 4, "2 prompts but 1 tokenizations"},
		{[][]int32{{1}, {2}}, -1, "must not be negative"},
	}
	for _, tt := range tests {
		if _, err := Truncate(prompts, tt.ids, tt.limit); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Truncate(%v, %d) = %v, want it to contain %q", tt.ids, tt.limit, err, tt.want)
		}
	}
}

func TestHash(t *testing.T) {
	of := func(tokens ...[]int32) string {
		reqs := make([]Request, len(tokens))
		for i := range tokens {
			reqs[i] = Request{ID: i, Tokens: tokens[i]}
		}
		return Hash(reqs)
	}
	hashes := map[string]bool{}
	all := []string{
		of(), of([]int32{}), of([]int32{1, 2}), of([]int32{2, 1}), of([]int32{1}, []int32{2}),
		of([]int32{2}, []int32{1}), of([]int32{1, 2}, nil), of(nil, []int32{1, 2}),
	}
	for _, h := range all {
		hashes[h] = true
	}
	if len(hashes) != len(all) {
		t.Errorf("%d different hashes of %d different lists", len(hashes), len(all))
	}
	if Hash([]Request{{Task: "qa", Tokens: []int32{1, 2}}}) != of([]int32{1, 2}) {
		t.Error("the task changes the hash")
	}
	// sha256 of the count 0 in eight bytes, as any other program would compute it.
	if got, want := of(), "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"; got != want {
		t.Errorf("hash of nothing = %s, want %s", got, want)
	}
}
