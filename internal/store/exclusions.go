package store

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// unequal are the codes that [result.Row.Unequal] returns, in words, with what to do.
var unequal = note.List{
	{Code: codes.GPUForeignWork, Message: "other work ran on a GPU that is counted, so that its energy is a total of " +
		"the board and not the run's",
		Next: "run the configuration again on GPUs that nobody else uses (nvidia-smi lists processes; " +
			"CUDA_VISIBLE_DEVICES chooses); to have the numbers all the same, marked, add --allow-shared"},
	{Code: codes.UnequalWork, Message: "the engine did not compute the tokens that it was given and asked for",
		Next: "look for a prefix cache, prompts that are cut to the model's context, or an output that ends " +
			"early; mend " +
			"it and run the configuration again in a new study"},
	{Code: codes.RequestsFailed, Message: "requests failed, and the energy that they took is in the total",
		Next: "look for their reasons in requests.parquet (failure) and engine.log of the run; mend it and run the " +
			"configuration again in a new study"},
}

// Exclusions count the runs that are not comparable, by the reason.
func Exclusions(runs []result.Row) []result.Exclusion {
	var out []result.Exclusion
	for _, u := range unequal {
		n := 0
		for _, r := range runs {
			if r.Status == result.OK && r.Unequal() == u.Code {
				n++
			}
		}
		if n > 0 {
			out = append(out, result.Exclusion{Note: u, Runs: n})
		}
	}
	return out
}

// noMetrics says why a configuration has no figures.
func (e experiment) noMetrics() string {
	if len(e.Excluded) == 0 {
		return "no run was ok"
	}
	var codes []string
	for _, x := range e.Excluded {
		codes = append(codes, string(x.Code))
	}
	return fmt.Sprintf("none of its %d ok runs can be compared (%s)", e.OK, strings.Join(codes, ", "))
}
