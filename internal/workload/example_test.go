package workload_test

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/workload"
)

func Example() {
	set, err := workload.Load(workload.Builtin)
	if err != nil {
		fmt.Println(err)
		return
	}
	prompts, err := set.Select(2, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := make([][]int32, len(prompts))
	for i, p := range prompts {
		for _, b := range []byte(p.Text) { // a stand-in for the model's tokenizer
			ids[i] = append(ids[i], int32(b))
		}
	}
	reqs, err := workload.Truncate(prompts, ids, 128)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range reqs {
		fmt.Println(r.ID, r.Task, len(r.Tokens))
	}
	// Output:
	// 0 summarize 128
	// 1 extract 128
}

func ExampleSynthetic() {
	vocab := workload.Vocab{Size: 32000, Special: []int32{0, 1, 2}}
	reqs, err := workload.Synthetic(2, 6, vocab, 7)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range reqs {
		fmt.Println(r.Tokens)
	}
	// Output:
	// [8627 9593 3706 5365 27693 25410]
	// [19774 25684 1311 8841 15389 7716]
}
