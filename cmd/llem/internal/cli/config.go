package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/inventory"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/study"
)

// newConfig shows what llem finds on this machine, or what a study resolves to.
func newConfig(env *Env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use:   "config [STUDY.yaml]",
		Short: "Show engines, sensors and settings, or each value of a study",
		Example: "  llem config\n" +
			"  llem config study.yaml -s workload.prompts=32",
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error { return env.config(cmd, args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	studyFlags(cmd, &f.set)
	flags.StringVar(&f.python, "python", "", "interpreter for Python backends")
	flags.BoolVar(&f.json, "json", false, "print one JSON document")
	return cmd
}

type configFlags struct {
	set    []string
	python string
	json   bool
}

func (env *Env) config(cmd *cobra.Command, args []string, f configFlags) error {
	o, err := studyOptions(cmd, args, f.set, env.Getenv)
	if err != nil {
		return err
	}
	v := inventory.View{Version: versionText(host.CurrentBuild()), File: o.User,
		Warnings: append([]string{}, env.unknownVariables()...)}
	if _, err := os.Stat(o.User); err == nil {
		v.FileRead = true
	}
	if o.Path != "" || len(o.Settings) > 0 {
		s, settings, err := study.Origins(o)
		if err != nil {
			return err
		}
		v.Study, v.Settings = &inventory.Study{Path: o.Path, Name: s.Name, Experiments: len(s.Experiments)}, settings
		if f.json {
			return env.printJSON(&v)
		}
		return env.folded(v.StudyText())
	}
	if v.Settings, err = study.Machine(o); err != nil {
		return err
	}
	if err := v.Look(cmd.Context(), firstOf(f.python, study.Interpreter(o))); err != nil {
		return err
	}
	if f.json {
		return env.printJSON(&v)
	}
	return env.folded(v.MachineText(firstOf(env.Getenv("LLEM_RESULTS"), "results")))
}
