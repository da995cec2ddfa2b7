package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/merge"
	"github.com/llenergymeasure/llem/result"
)

// mergeFlags are the flags of llem merge.
type mergeFlags struct {
	output        string
	mixed         bool
	json, verbose bool
}

// newMerge joins the folders of a study that was executed on machines that share nothing.
func newMerge(env *Env) *cobra.Command {
	var f mergeFlags
	cmd := &cobra.Command{
		Use:   "merge DIR... -o OUT",
		Short: "Join the folders of one study from several machines",
		Long: "Join the folders of one study to a new one: its shards (llem run --shard i/n), or other\n" +
			"partial copies. The folders must have the same study, and are not changed. Every run is\n" +
			"verified by its checksums; a run that two folders have with different results is refused.\n" +
			"The new folder is an ordinary one: llem report, compare, plot, serve and run --resume\n" +
			"read it. If runs are missing, it is an unfinished study.\n\n" +
			"Exit codes: 0 all runs are there, 1 refused or unfinished, 2 usage, 130 interrupted.",
		Example: "  llem merge results/study-shard* -o results/study\n" +
			"  llem merge node1/results/study-* node2/results/study-* -o study --allow-mixed",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return env.merge(cmd, args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "", "the new folder; it must not exist, or be empty")
	flags.BoolVar(&f.mixed, "allow-mixed", false,
		"take runs of machines that differ from the first folder's; they are marked and not averaged")
	flags.BoolVar(&f.json, "json", false, "print the result as one JSON document")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print everything about the result, as llem report -v does")
	return cmd
}

// merge joins folders and prints the result.
func (env *Env) merge(cmd *cobra.Command, args []string, f mergeFlags) error {
	m, err := merge.Merge(cmd.Context(),
		merge.Options{Dirs: args, Target: f.output, AllowMixed: f.mixed, Now: time.Now()})
	if err != nil {
		return err
	}
	for _, n := range m.Notes {
		fmt.Fprintf(env.text(env.Stderr), "llem: %s\n", n)
	}
	if err := env.print(m.Result, nil, runFlags{json: f.json, verbose: f.verbose}); err != nil {
		return err
	}
	if !m.Result.Complete {
		return &unfinishedError{m.Result}
	}
	return nil
}

// unfinishedError: the merged study lacks runs.
type unfinishedError struct{ *result.StudyResult }

// Error names what is missing.
func (e *unfinishedError) Error() string {
	if doubt, ok := e.Caveats.Find(codes.ShardsMissing); ok {
		return doubt.Message
	}
	return fmt.Sprintf("the merged study lacks %s", digits.Count(e.Left, "run"))
}

// NextStep returns how to complete the study.
func (e *unfinishedError) NextStep() string {
	return "merge again with all folders; or measure the rest: " + resumeCommand(e.Dir)
}
