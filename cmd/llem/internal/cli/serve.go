package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/serving"
	"github.com/llenergymeasure/llem/internal/disk"
)

// usualListen is where serve listens: only this machine reaches it.
const usualListen = "127.0.0.1:8642"

// newServe shows studies in a browser.
func newServe(env *Env) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "serve [DIR...]",
		Short: "Show studies as pages in a browser, also while they run",
		Long: "Serve the studies below the folders (default results) as pages: a list with a search, each study\n" +
			"with its report, runs and files, comparisons of any two configurations, what a running study\n" +
			"does now, and /metrics for Prometheus. It only reads. End it with Ctrl-C.\n\n" +
			"Only this machine reaches the default address. Any other address needs a token, which is part\n" +
			"of the printed address; the connection is not encrypted, so prefer a tunnel:\n" +
			"ssh -L 8642:127.0.0.1:8642 HOST.",
		Example: "  llem serve\n  llem serve results old/results --listen 127.0.0.1:0",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return env.serve(cmd.Context(), args, listen) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	cmd.Flags().StringVar(&listen, "listen", usualListen,
		"the address to listen on, HOST:PORT; port 0 takes any free port")
	return cmd
}

// serve serves studies until ctx ends.
func (env *Env) serve(ctx context.Context, dirs []string, address string) error {
	if len(dirs) == 0 {
		dirs = []string{"results"}
	}
	for _, dir := range dirs {
		if why := disk.NoFolder(dir); why != "" {
			return &usageError{why,
				"give folders with studies, such as the -o of `llem run`"}
		}
	}
	l, err := serving.Listen(ctx, "--listen", address)
	if err != nil {
		return wrongAddress(err)
	}
	fmt.Fprintln(env.Stdout, l.Link)
	fmt.Fprintln(env.text(env.Stderr), "llem: serving; end with Ctrl-C")
	return l.Serve(ctx, dirs)
}

// wrongAddress turns an address on which nothing can listen into a mistake of usage.
func wrongAddress(err error) error {
	if wrong, ok := errors.AsType[*serving.Error](err); ok {
		return &usageError{wrong.What, wrong.Next}
	}
	return err
}

// servePages is the command that run --serve starts this program again with.
func servePages(env *Env) *cobra.Command {
	return &cobra.Command{Use: serving.Command + " DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return serving.Inherited(cmd.Context(), env.Stdin, args[0])
		}}
}
