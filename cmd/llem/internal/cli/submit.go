package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/submit"
)

// newSubmit spreads a study over a cluster.
func newSubmit(env *Env) *cobra.Command {
	var f submit.Flags
	var set []string
	cmd := &cobra.Command{
		Use:   "submit [STUDY.yaml] --on slurm|kubernetes",
		Short: "Spread a study over the nodes of a cluster",
		Long: "Start workers of a study on the nodes of a cluster. They share the runs through the study's\n" +
			"folder, which must be on a file system that all nodes see. Printed are the batch script or the\n" +
			"manifests, and what the study will cost by number of workers; nothing is submitted without\n" +
			"--now. Partitions, images and other things of a site stand in your own file\n" +
			"(docs/submit.md).",
		Example: "  llem submit study.yaml --on slurm --workers 8 -o /shared/results\n" +
			"  llem submit study.yaml --on slurm --workers 8 -o /shared/results --now --watch\n" +
			"  llem submit --status /shared/results/STUDY\n" +
			"  llem submit --cancel /shared/results/STUDY",
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := studyOptions(cmd, args, set, env.Getenv)
			if err != nil {
				return err
			}
			c := submit.Command{Out: env.Stdout, Err: env.text(env.Stderr), Color: env.color(env.StderrTTY),
				Style: env.style(), Width: env.tableWidth(), Getenv: env.Getenv}
			if env.canDraw() {
				c.Terminal = env.Stderr
			}
			return c.Run(cmd.Context(), o, f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.On, "on", "", "the scheduler: slurm or kubernetes")
	flags.IntVar(&f.Workers, "workers", 0, fmt.Sprintf("how many workers run at a time (default %d, at most one for "+
		"each run)", submit.UsualWorkers))
	flags.StringVarP(&f.Output, "output", "o", "", "folder for results that all nodes see (default $LLEM_RESULTS, "+
		"else ./results)")
	flags.StringVar(&f.Dir, "resume", "", "add workers to the study of this folder `DIR`")
	flags.DurationVar(&f.Limit, "time", 0, "time limit of a job, such as 4h; what is left is measured by a job that "+
		"follows")
	flags.IntVar(&f.GPUs, "gpus", -1, "GPUs of a worker (default: what the study needs)")
	flags.StringVar(&f.GPU, "gpu", "", "estimate the cost for this GPU, such as h200")
	flags.BoolVar(&f.Mixed, "allow-mixed", false, "let nodes join that differ from the first one")
	flags.BoolVar(&f.Estimate, "estimate", false, "estimate CPU power if no sensor can be read; labelled as modelled")
	flags.BoolVar(&f.Now, "now", false, "submit")
	flags.BoolVar(&f.Watch, "watch", false, "with --now or --status: follow the study; Ctrl-C leaves the jobs alone")
	flags.StringVar(&f.Status, "status", "", "show the workers and the progress of the study in `DIR`")
	flags.StringVar(&f.Cancel, "cancel", "", "end the workers of the study in `DIR`; finished runs are kept")
	studyFlags(cmd, &set)
	return cmd
}
