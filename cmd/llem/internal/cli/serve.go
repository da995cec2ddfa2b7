package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/web"
	build "github.com/llenergymeasure/llem/internal/host"
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
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return &usageError{"open the folder of studies: there is no folder " + dir,
				"give folders with studies, such as the -o of `llem run`"}
		}
	}
	l, o, err := listen(ctx, "--listen", address)
	if err != nil {
		return err
	}
	o.Dirs = dirs
	fmt.Fprintln(env.Stdout, linkOf(l, o.Token))
	fmt.Fprintln(env.Stderr, "llem: serving; end with Ctrl-C")
	return serveOn(ctx, l, o)
}

// webOptions are the options of a server of folders, of which host is the host of its address.
func webOptions(dirs []string, host string) web.Options {
	o := web.Options{Dirs: dirs, Version: build.CurrentBuild().Version, Host: host}
	if o.Version == "" {
		o.Version = "(unknown)"
	}
	return o
}

// listen listens on an address, the value of a flag. Beyond this machine, the options have a token.
func listen(ctx context.Context, flag, address string) (net.Listener, web.Options, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, web.Options{}, &usageError{fmt.Sprintf("%s %s is not an address", flag, address),
			"use HOST:PORT, as " + usualListen}
	}
	o := webOptions(nil, name)
	if !web.Loopback(name) {
		o.Token = rand.Text()
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, o, &usageError{fmt.Sprintf("cannot listen on %s: %v", address, err),
			flag + "=127.0.0.1:0 takes a free port"}
	}
	return l, o, nil
}

// linkOf returns the address to open.
func linkOf(l net.Listener, token string) string {
	address := url.URL{Scheme: "http", Host: reachable(l.Addr().String()), Path: "/"}
	if token != "" {
		address.RawQuery = url.Values{"token": {token}}.Encode()
	}
	return address.String()
}

// serveOn answers requests until ctx ends.
func serveOn(ctx context.Context, l net.Listener, o web.Options) error {
	server, err := web.New(o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer server.Close()
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
