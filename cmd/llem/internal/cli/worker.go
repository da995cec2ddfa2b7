package cli

import (
	"crypto/rand"
	"os"
	"strings"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/claim"
	"github.com/llenergymeasure/llem/internal/shell"
)

// anyName is the value of --worker without a name.
const anyName = "any"

// takeFolder takes the folder of `STUDY --resume DIR`, which the flag parser takes for a second study file, out of the
// arguments.
func (f *runFlags) takeFolder(args []string) []string {
	if f.resume != newest || len(args) != 2 {
		return args
	}
	for i, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			f.resume = arg
			return []string{args[1-i]}
		}
	}
	return args
}

// together completes the options of a worker: its name, and the folder that it shares with others.
func (f *runFlags) together(o *llem.Options) error {
	o.Worker, o.AllowMixed = f.worker, f.mixed
	if f.worker == anyName {
		o.Worker = anyWorker()
	}
	switch {
	case !claim.ValidName(o.Worker):
		return &usageError{"--worker=" + shell.Quote(o.Worker) + " is not a name",
			"use letters, digits, dots and dashes, or leave the name out"}
	case f.dryRun:
		return &usageError{"--dry-run runs nothing, and --worker shares runs out", "leave one of them out"}
	case f.output != "" && f.resume != "":
		return &usageError{"--output and --resume both name the folder of the study", "leave one of them out"}
	case f.output == "" && f.resume == "":
		return &usageError{"--worker needs the folder that the workers share",
			"name it with --output DIR; the first worker creates it, the others join"}
	case f.resume == "" && campaign.IsStudy(f.output):
		f.resume = f.output
	}
	return nil
}

// node returns the name that the cluster has for this machine; empty if there is none.
func (env *Env) node() string { return firstOf(env.Getenv("LLEM_NODE"), env.Getenv("SLURMD_NODENAME")) }

// anyWorker returns a name that no other worker has. It does not tell the name of the machine.
func anyWorker() string {
	node := claim.Machine()
	return strings.ToLower("n" + node[:min(6, len(node))] + "-" + rand.Text()[:4])
}

// command continues the study.
func (e *interruptedError) command() string {
	if e.worker {
		return "llem run --worker --resume=" + shell.Path(e.dir)
	}
	return resumeCommand(e.dir)
}
