package sensors

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
)

func TestRemoteOverHTTP(t *testing.T) {
	page, err := os.ReadFile("testdata/dcgm.prom")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><a href='/metrics'>Metrics</a></html>")
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter,
		r *http.Request) {
		http.Redirect(w, r, "/metrics", http.StatusFound)
	})
	mux.HandleFunc("/secret", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		line := strings.Repeat("# filler\n", 1<<10)
		for range pageLimit/len(line) + 2 {
			if _, err := w.Write([]byte(line)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("# TYPE x gauge\n"))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	refused := "http://" + freePort(t) + "/metrics"

	for _, address := range []string{srv.URL + "/metrics", srv.URL + "/moved"} {
		meters, missing := Open(t.Context(),
			Options{Only: without("nvml", "hwmon", "rapl"), Remote: []string{address}})
		if len(meters) != 1 || len(missing) != 0 {
			t.Fatalf("%s: meters %v, missing %v", address, meters, missing)
		}
		var trace power.Trace
		if err := meters[0].Poll(t.Context(), &trace); err != nil || len(trace.Samples) != 2 ||
			len(trace.Counters) != 2 || trace.Samples[1].Device != "dcgm-gpu1" {
			t.Errorf("%+v, %v", trace, err)
		}
		if err := meters[0].Close(); err != nil {
			t.Error(err)
		}
	}
	for address, want := range map[string][2]string{
		srv.URL + "/":       {"web page, not a metrics page", "path of the metrics page"},
		srv.URL + "/none":   {"404 Not Found", "path of the metrics page"},
		srv.URL + "/secret": {"401 Unauthorized", "without credentials"},
		srv.URL + "/huge":   {"larger than 8 MiB", "look at the page"},
		srv.URL + "/short":  {"ended early", "look at the page"},
		refused:             {"connection refused", "start the exporter"},
	} {
		meters, missing := Open(t.Context(),
			Options{Only: without("nvml", "hwmon", "rapl"), Remote: []string{address}})
		if len(meters) != 0 || len(missing) != 1 || missing[0].Source != "remote.dcgm" ||
			!strings.Contains(missing[0].Message, want[0]) || !strings.Contains(missing[0].Next, want[1]) {
			t.Errorf("%s: %+v, want %q and fix %q", address, missing, want[0], want[1])
		}
	}
}

// freePort returns an address without a listener.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestFetchPageTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	fetch, stop := httpFetcher()
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := fetch(ctx, srv.URL)
	if fix := remoteFix(srv.URL, err); err == nil || !strings.Contains(fix, "its port is open") {
		t.Errorf("%v, fix %q", err, fix)
	}
}

func TestOpenRemoteMistakes(t *testing.T) {
	_, missing := Open(t.Context(), Options{Only: without("nvml", "hwmon", "rapl"), Remote: []string{"host:9400"}})
	if len(missing) != 1 || missing[0].Source != "remote" ||
		!strings.Contains(missing[0].Message, "write http://host:port/path") {
		t.Errorf("missing %+v", missing)
	}
}

// TestOneBadRemoteLeavesTheOthers: a mistake in an entry, an unreadable page, an unknown metric and a name in
// use do not affect other sources.
func TestOneBadRemoteLeavesTheOthers(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/e" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, "p 12\nq 13\n")
	}))
	defer srv.Close()
	for name, c := range map[string]struct {
		remote []string
		want   string // of the message
	}{
		"entry": {[]string{"host:9400", "wall=" + srv.URL + "/m#p:W"}, "write http://host:port/path"},
		"taken": {[]string{"wall=" + srv.URL + "/m#p:W", "wall=" + srv.URL + "/m#q:W"},
			"the name wall is already used"},
		"page":   {[]string{"wall=" + srv.URL + "/m#p:W", "wall=" + srv.URL + "/e#q:J"}, "404 Not Found"},
		"metric": {[]string{"wall=" + srv.URL + "/m#p:W", "wall=" + srv.URL + "/m#x:J"}, "there is no metric x"},
	} {
		t.Run(name, func(t *testing.T) {
			meters, missing := Open(t.Context(), Options{Only: without("nvml", "hwmon", "rapl"), Remote: c.remote})
			if len(meters) != 1 || len(missing) != 1 || missing[0].Source == "remote.wall" ||
				!strings.Contains(missing[0].Message, c.want) {
				t.Fatalf("meters %v, missing %+v; want wall, and %q missing", meters, missing, c.want)
			}
			defer meters[0].Close()
			var trace power.Trace
			if err := meters[0].Poll(t.Context(), &trace); err != nil || len(trace.Samples) != 1 ||
				trace.Samples[0].Power != 12 || trace.Samples[0].Device != "wall" {
				t.Errorf("%+v, %v", trace, err)
			}
		})
	}
}
