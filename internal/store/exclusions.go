package store

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// unequal describes the codes that [result.Row.Unequal] returns, with the next step.
var unequal = note.List{
	{Code: codes.GPUForeignWork, Message: "other work ran on a GPU that is counted, so its energy is a total of " +
		"the board and not the run's",
		Next: "run the configuration again on GPUs that nobody else uses (nvidia-smi lists processes; " +
			"CUDA_VISIBLE_DEVICES selects); to get marked numbers anyway, add --allow-shared"},
	{Code: codes.UnequalWork, Message: "the engine did not compute exactly the given and requested tokens",
		Next: "check for a prefix cache, prompts truncated to the model's context, or an output that ends " +
			"early; fix " +
			"it and rerun the configuration in a new study"},
	{Code: codes.MachineMixed, Message: "the worker's machine differs from the machine on which the study began",
		Next: "compare these runs by their rows (llem report DIR --json), or run a study on one kind of machine"},
	{Code: codes.RequestsFailed, Message: "requests failed, and the total includes their energy",
		Next: "find the reasons in requests.parquet (failure) and engine.log of the run; fix them and rerun the " +
			"configuration in a new study"},
}

// Exclusions counts the runs that are not comparable, by reason.
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

// noMetrics returns why a configuration has no numbers.
func (e experiment) noMetrics() string {
	if len(e.Excluded) == 0 {
		return "no run succeeded"
	}
	var codes []string
	for _, x := range e.Excluded {
		codes = append(codes, string(x.Code))
	}
	return fmt.Sprintf("none of its %d successful runs can be compared (%s)", e.OK, strings.Join(codes, ", "))
}
