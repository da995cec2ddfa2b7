// Package serving listens for the server of package web, and keeps the server of a running study: a process of its own.
package serving

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/llenergymeasure/llem/cmd/llem/internal/web"
	"github.com/llenergymeasure/llem/internal/host"
)

// AnyPort is an address of this machine with any free port.
const AnyPort = "127.0.0.1:0"

// Error is an address on which the program cannot listen.
type Error struct{ What, Next string }

// Error returns what is wrong.
func (e *Error) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.Next }

// Listener listens on an address. Close it, unless it serves.
type Listener struct {
	net.Listener
	// Link is the address to open, with the token.
	Link  string
	order order
}

// order is what a server needs to know of its address.
type order struct {
	// Host is the host of the address that was asked for.
	Host string `json:"host"`
	// Token is needed beyond this machine; empty on it.
	Token string `json:"token"`
}

// Listen listens on HOST:PORT, the value of a flag. Its error is an [*Error].
func Listen(ctx context.Context, flag, address string) (*Listener, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &Error{fmt.Sprintf("%s %s is not an address", flag, address), "use HOST:PORT, as 127.0.0.1:8642"}
	}
	out := &Listener{order: order{Host: name}}
	if !web.Loopback(name) {
		out.order.Token = rand.Text()
	}
	if out.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
		return nil, &Error{fmt.Sprintf("cannot listen on %s: %v", address, err),
			flag + "=" + AnyPort + " takes a free port"}
	}
	link := url.URL{Scheme: "http", Host: reachable(out.Addr().String()), Path: "/"}
	if out.order.Token != "" {
		link.RawQuery = url.Values{"token": {out.order.Token}}.Encode()
	}
	out.Link = link.String()
	return out, nil
}

// Serve serves the studies below folders until ctx ends.
func (l *Listener) Serve(ctx context.Context, dirs []string) error {
	return serve(ctx, l.Listener, l.order, web.Options{Dirs: dirs})
}

// serve answers requests on l until ctx ends, and closes it.
func serve(ctx context.Context, l net.Listener, o order, options web.Options) error {
	options.Version, options.Host, options.Token = host.CurrentBuild().Version, o.Host, o.Token
	if options.Version == "" {
		options.Version = "(unknown)"
	}
	server, err := web.New(options)
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
