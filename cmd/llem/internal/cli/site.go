package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/site"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/secret"
)

// newSite writes studies as a static site.
func newSite(env *Env) *cobra.Command {
	o := site.Options{}
	noRaw := false
	cmd := &cobra.Command{
		Use:   "site DIR... -o OUT",
		Short: "Write studies as a static site: a leaderboard with reports and raw files",
		Long: "Write all studies below the folders as a static site: a table of their configurations to sort\n" +
			"and filter, and of each study its report, its raw files and whether its numbers could be\n" +
			"recomputed. It opens from disk and from any web server, and works without JavaScript.\n\n" +
			"Measured, modelled and simulated energy are in tables of their own. Pages show no absolute path,\n" +
			"host name or secret; raw files are copied as they are, unless one holds a secret.\n\n" +
			"Exit codes: 0 done, 1 a study's numbers do not match its raw files (the site says so), 2 usage.",
		Example: "  llem site results -o public\n" +
			"  llem site results old/results -o public --no-raw --title 'Energy, our lab'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{"site takes folders with studies", "llem site results -o public"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			o.Dirs, o.Raw = args, !noRaw
			return env.site(o)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.Out, "output", "o", "", "the folder of the site; an earlier site in it is replaced")
	flags.BoolVar(&noRaw, "no-raw", false, "leave the raw files out")
	flags.StringVar(&o.Title, "title", "Energy of LLM inference", "the head of the site")
	return cmd
}

// site writes a static site and says what it holds.
func (env *Env) site(o site.Options) error {
	if o.Out == "" {
		return &usageError{"no folder for the site", "name it with -o, such as -o public"}
	}
	if o.Version = host.CurrentBuild().Version; o.Version == "" {
		o.Version = "(unknown)"
	}
	o.Now = time.Now()
	if epoch, err := strconv.ParseInt(env.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		o.Now = time.Unix(epoch, 0)
	}
	made, err := site.Write(o)
	if wrong, ok := errors.AsType[*site.Error](err); ok {
		return &usageError{wrong.What, wrong.Next}
	}
	if err != nil {
		return err
	}
	for _, n := range made.Notes {
		fmt.Fprintln(env.text(env.Stderr), "llem: "+secret.Text(n))
	}
	raw := "no raw files"
	if o.Raw {
		raw = digits.Bytes(made.Raw).String() + " of raw files, packed"
	}
	fmt.Fprintf(env.text(env.Stdout), "%s/index.html: %s, %s (%s)\n", o.Out, made.Text(),
		digits.Bytes(made.Bytes), raw)
	if made.Differ > 0 {
		return fmt.Errorf("%w: %d of %d studies", errDiffer, made.Differ, made.Studies)
	}
	return nil
}
