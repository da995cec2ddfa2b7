package cli

import (
	"fmt"

	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
)

// printRun prints one run as `llem run` does, from disk.
func (env *Env) printRun(r *named.OneRun, f reportFlags) error {
	switch {
	case f.format != "text" || f.sort != "" || f.best != "" || f.html != "" || len(f.pareto) > 0:
		return &usageError{"--format, --sort, --pareto, --best and --html are about a study, not about one run",
			"give the folder of the study, or leave them out"}
	case f.json:
		return env.printJSON(r.Record)
	}
	if r.Others != "" {
		fmt.Fprintf(env.text(env.Stderr), "llem: %s\n", r.Others)
	}
	return env.show(r.Study(), env.terminal(), f.how())
}
