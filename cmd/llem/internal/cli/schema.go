package cli

import (
	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/study"
)

// newSchema prints the grammar of study files.
func newSchema(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of study files, for editors",
		Long: "Print the JSON Schema (draft 2020-12) of study files. Editors with a YAML language server use\n" +
			"it to complete and check keys: save it, and begin the study file with\n\n" +
			"  # yaml-language-server: $schema=study.schema.json",
		Example: "  llem schema > study.schema.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{"schema takes no arguments", "see `llem schema --help`"}
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			_, err := env.Stdout.Write(study.Schema(engines.All()))
			return err
		},
	}
}
