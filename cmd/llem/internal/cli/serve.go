package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/web"
	"github.com/llenergymeasure/llem/internal/host"
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
func (env *Env) serve(ctx context.Context, dirs []string, listen string) error {
	name, _, err := net.SplitHostPort(listen)
	if err != nil {
		return &usageError{fmt.Sprintf("--listen %s is not an address", listen), "use HOST:PORT, as " + usualListen}
	}
	if len(dirs) == 0 {
		dirs = []string{"results"}
	}
	o := web.Options{Dirs: dirs, Version: host.CurrentBuild().Version, Host: name}
	if o.Version == "" {
		o.Version = "(unknown)"
	}
	if !web.Loopback(name) {
		o.Token = rand.Text()
	}
	server, err := web.New(o)
	if err != nil {
		return &usageError{err.Error(), "give folders with studies, such as the -o of `llem run`"}
	}
	defer server.Close()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return &usageError{fmt.Sprintf("cannot listen on %s: %v", listen, err),
			"--listen 127.0.0.1:0 takes a free port"}
	}
	address := url.URL{Scheme: "http", Host: reachable(l.Addr().String()), Path: "/"}
	if o.Token != "" {
		address.RawQuery = url.Values{"token": {o.Token}}.Encode()
	}
	fmt.Fprintln(env.Stdout, address.String())
	fmt.Fprintln(env.Stderr, "llem: serving; end with Ctrl-C")
	return server.Serve(ctx, l)
}

// reachable returns an address that can be opened: the address of an interface in place of "all addresses".
func reachable(address string) string {
	name, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(name); err != nil || ip == nil || !ip.IsUnspecified() {
		return address
	}
	found := "127.0.0.1"
	all, _ := net.InterfaceAddrs() // without any, this machine still reaches it
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			found = n.IP.String()
			break
		}
	}
	return net.JoinHostPort(found, port)
}
