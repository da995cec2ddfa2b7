package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/result"
)

// nameMetrics replaces what users call metrics, such as TTFT, by the names of these in result.json. Empty stays
// empty.
func nameMetrics(asked ...*string) error {
	for _, name := range asked {
		if *name == "" {
			continue
		}
		m, err := result.Metric(*name)
		if err != nil {
			return err
		}
		*name = m.Name
	}
	return nil
}

// pointers returns pointers to the elements of a list.
func pointers(names []string) []*string {
	out := make([]*string, len(names))
	for i := range names {
		out[i] = &names[i]
	}
	return out
}

// listMetrics prints all metrics.
func (env *Env) listMetrics(asJSON bool) error {
	if asJSON {
		return env.printJSON(metric.List())
	}
	return env.terminal().Metrics(env.Stdout)
}

// completeMetrics lets the shell complete the names of metrics as values of flags.
func completeMetrics(cmd *cobra.Command, flags ...string) {
	names := func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndexByte(typed, ',')+1] // of a list
		var out []string
		for _, m := range result.Metrics() {
			if strings.HasPrefix(m.Name, typed[len(before):]) {
				out = append(out, cobra.CompletionWithDesc(before+m.Name, m.Meaning))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	for _, flag := range flags {
		if err := cmd.RegisterFlagCompletionFunc(flag, names); err != nil {
			panic(err) // a flag that the command does not have
		}
	}
}
