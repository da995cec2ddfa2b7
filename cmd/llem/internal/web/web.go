// Package web serves the studies below some folders as pages of a local web server: an index, each study with its
// report, its runs and files, what a running study does now, and metrics in the format of Prometheus.
//
// Everything is read from disk on request, and nothing is written. A request passes the guard first (guard.go): method,
// Host header, origin, and a token if the server is reachable from other machines. Then a study is found by its key, a
// hash of its path, so that no path of a request names a folder (studies.go). Files of a study are opened below its
// folder by [os.Root], which refuses links that lead out of it (files.go).
package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
)

// Limits of the server.
const (
	headerTime  = 5 * time.Second  // to read the header of a request
	idleTime    = time.Minute      // of a connection without a request
	answerTime  = 60 * time.Second // to write a page, or the next part of a file
	maxHeader   = 16 << 10         // size of a header, in bytes
	maxFollower = 16               // connections that follow a study at a time
	endTime     = 3 * time.Second  // for requests that run when the server ends
)

// Options are what a server shows and to whom.
type Options struct {
	// Dirs are the folders below which studies are found.
	Dirs []string
	// Version is the version of llem.
	Version string
	// Host is the host of the listen address; it is accepted in the Host header beside the loopback names.
	Host string
	// Token is needed by every request; empty if only this machine reaches the server.
	Token string
	// Only is set if Dirs is the folder of one study: the first page is that study's.
	Only bool
	// Poll is the time between two looks at the journal of a followed study; 0 is half a second.
	Poll time.Duration
	// Heartbeat is the time between two signs of life on a quiet connection; 0 is 5 seconds.
	Heartbeat time.Duration
}

// Server answers requests about studies.
type Server struct {
	o         Options
	library   *library
	pages     *template.Template
	reports   reports
	followers chan struct{}
	// ending is closed when the server ends, so that followers leave.
	ending  chan struct{}
	endOnce sync.Once
}

// New returns a server for the studies below the folders of o, which must exist.
func New(o Options) (*Server, error) {
	lib, err := newLibrary(o.Dirs)
	if err != nil {
		return nil, err
	}
	if o.Poll == 0 {
		o.Poll = 500 * time.Millisecond
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 5 * time.Second
	}
	pages, err := template.New("").Funcs(template.FuncMap{"size": disk.SizeText}).ParseFS(assets, "*.html")
	if err != nil {
		lib.close()
		return nil, fmt.Errorf("parse the pages: %w", err)
	}
	return &Server{o: o, library: lib, pages: pages, followers: make(chan struct{}, maxFollower),
		ending: make(chan struct{})}, nil
}

// Close closes the folders.
func (s *Server) Close() { s.library.close() }

// Handler returns the routes behind the guard.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /style.css", s.asset("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /live.js", s.asset("live.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /compare", s.compare)
	mux.HandleFunc("GET /study/{key}/{$}", s.with(s.overview))
	mux.HandleFunc("GET /study/{key}/report", s.with(s.report))
	mux.HandleFunc("GET /study/{key}/live", s.with(s.live))
	mux.HandleFunc("GET /study/{key}/run/{run}/{$}", s.with(s.run))
	mux.HandleFunc("GET /study/{key}/run/{run}/power.svg", s.with(s.power))
	mux.HandleFunc("GET /study/{key}/events", s.with(s.events))
	mux.HandleFunc("GET /study/{key}/zip", s.with(s.zip))
	mux.HandleFunc("GET /study/{key}/files/{path...}", s.with(s.files))
	return s.guard(mux)
}

// Serve answers requests on l until ctx ends; requests that run then have a moment to finish.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.endOnce.Do(func() { close(s.ending) })
	// The context is over; the end has one of its own.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// Loopback reports whether only this machine reaches a host on which a server listens.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
