package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/recheck"
	"github.com/llenergymeasure/llem/cmd/llem/internal/verdict"
	"github.com/llenergymeasure/llem/internal/foreign"
)

// newVerify judges the results of others.
func newVerify(env *Env) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "verify DIR|ARCHIVE|hf:USER/NAME|https://…",
		Short: "Judge results, of others too: do the numbers follow from the raw files?",
		Long: "Compute every number of a study again from its raw files, compare all files with their checksums,\n" +
			"and print a verdict for a reviewer: what holds, what could not be checked, where the energy is\n" +
			"from, and what the self-test of the sensors says. An archive is a .zip or .tar.gz of the folder.\n" +
			"A study on the Hugging Face Hub, or an archive on a web server, is downloaded to a temporary folder.\n\n" +
			"llem report --recompute prints the outcome of each run.\n\n" +
			"Exit codes: 0 nothing contradicts, 1 a number or a file does not match, 2 usage.",
		Example: "  llem verify results/batches\n  llem verify supplement.zip\n  llem verify hf:alice/batches",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{"verify takes one study",
					"give its folder, a .zip or .tar.gz of it, or hf:USER/NAME"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return env.verify(cmd.Context(), args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as one JSON document")
	return cmd
}

// verify prints the verdict on a study in a folder or an archive, here or elsewhere.
func (env *Env) verify(ctx context.Context, name string, asJSON bool) error {
	path, remove, err := env.publisher().Local(ctx, name)
	if err != nil {
		return err
	}
	defer remove()
	if foreign.IsImported(path) {
		return env.verifyImported(path, asJSON)
	}
	v, err := verdict.Judge(path)
	if wrong, ok := errors.AsType[*verdict.ArchiveError](err); ok {
		return &usageError{wrong.Error(), wrong.Next}
	}
	if none, ok := errors.AsType[*recheck.NoRunError](err); ok {
		return &usageError{none.Error(), none.NextStep()}
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = env.printJSON(v)
	} else {
		_, err = fmt.Fprint(env.text(env.Stdout), v.Text(env.tableWidth()))
	}
	if err == nil && v.State == verdict.Differs {
		return errDiffer
	}
	return err
}
