package hub

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/hub/hubtest"
	"github.com/llenergymeasure/llem/note"
)

// fetch requests the repository of the tests, and fails if it takes too long.
func fetch(t *testing.T, x *Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, _, err := x.Fetch(ctx, testRepo, gguf.Float16)
	if ctx.Err() != nil {
		t.Fatalf("it did not end: %v", err)
	}
	return err
}

// instead makes a hub answer some requests differently, by a part of their path.
func instead(h *hubtest.Hub, where, path string, answer http.HandlerFunc) {
	h.Instead = func(at string, w http.ResponseWriter, r *http.Request) bool {
		if at != where || !strings.Contains(r.URL.Path, path) {
			return false
		}
		answer(w, r)
		return true
	}
}

// endless sends until nobody listens, and at most 64 MiB.
func endless(w http.ResponseWriter, _ *http.Request) {
	b := make([]byte, 1<<20)
	for range 64 {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// size returns the size of a file; -1 if there is none.
func size(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return st.Size()
}

func TestHubSendsTooMuch(t *testing.T) {
	h := hubtest.New(t, hfModel())
	instead(h, "storage", "model.safetensors", endless)
	x := client(h, "")
	var most int64
	x.Progress = func(done, _ int64) { most = max(most, done) }
	err := fetch(t, x)
	if fault.Class(err) != codes.ClassDownloadFailed ||
		!strings.Contains(err.Error(), "more of model.safetensors than the announced 500.0 kB") {
		t.Errorf("class %s: %v", fault.Class(err), err)
	}
	if most > 600_000 {
		t.Errorf("%d bytes were taken", most)
	}
	left, _ := filepath.Glob(filepath.Join(x.cache.repo(testRepo), "blobs", "*.incomplete"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestHubSizeOfTheList uses the size in the list of files if the file's own answer has none.
func TestHubSizeOfTheList(t *testing.T) {
	h := hubtest.New(t, hfModel())
	instead(h, "api", "/resolve/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"abc"`)
		if r.Method != http.MethodHead {
			endless(w, r)
		}
		_ = http.NewResponseController(w).Flush() // no Content-Length
	})
	if err := fetch(t, client(h, "")); !strings.Contains(err.Error(), "than the announced 22 B") {
		t.Errorf("%v", err)
	}
}

func TestHubNoSizeAtAll(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "part"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d := download{hub: &Client{}, out: out, name: "tokenizer.json", remote: remoteFile{size: -1}, have: mostOther - 10}
	if err := d.fits(10); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	err = d.fits(11)
	if _, ok := errors.AsType[*tooLong](err); !ok || fault.Class(err) != codes.ClassDownloadFailed ||
		!strings.Contains(err.Error(), "the limit of 268.4 MB") {
		t.Errorf("beyond the limit: %v", err)
	}
	if d.name = "m.gguf"; d.fits(11) != nil {
		t.Error("weights have the limit of other files")
	}
}

// TestHubListings sends answers that are not lists of files. Each is recognised in one request.
func TestHubListings(t *testing.T) {
	text := func(kind, s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, s)
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, `{"sha":"x"}`)
	z.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"login page": {text("text/html", "\n<!DOCTYPE html><title>Log in</title>"),
			"an HTML page, such as the login page of a proxy"},
		"gzip": {text("application/json", packed.String()), "gzip data"},
		"gzip, announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		}, "compressed (Content-Encoding: \"gzip\")"},
		"deep":       {text("application/json", strings.Repeat(`{"a":`, 200_000)), "nested too deeply"},
		"cut":        {text("application/json", `{"sha":"0123`), "truncated JSON"},
		"nothing":    {text("application/json", ""), "it sent nothing"},
		"a list":     {text("application/json", "[1, 2]"), "JSON of another form"},
		"no commit":  {text("application/json", `{"sha":"../../x"}`), "names no commit"},
		"plain text": {text("text/plain", "hello"), "not JSON"},
		"too long": {func(w http.ResponseWriter, r *http.Request) {
			endless(w, r)
			endless(w, r)
		}, "longer than 67.1 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.New(t, hfModel())
			instead(h, "api", "/api/", c.answer)
			err := fetch(t, client(h, ""))
			if fault.Class(err) != codes.ClassDownloadFailed || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), "HF_ENDPOINT") {
				t.Errorf("class %s: %.600v", fault.Class(err), err)
			}
			if h.Count() != 1 {
				t.Errorf("%d requests", h.Count())
			}
		})
	}
}

// TestHubListingStalls: the time of the list is bounded, whether it arrives slowly or not at all.
func TestHubListingStalls(t *testing.T) {
	for name, pause := range map[string]time.Duration{"slow": 10 * time.Millisecond, "silent": time.Hour} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.New(t, hfModel())
			instead(h, "api", "/api/", func(w http.ResponseWriter, r *http.Request) {
				for {
					fmt.Fprint(w, " ")
					_ = http.NewResponseController(w).Flush()
					select {
					case <-r.Context().Done():
						return
					case <-time.After(pause):
					}
				}
			})
			x := client(h, "")
			x.slowest = 200 * time.Millisecond
			err := fetch(t, x)
			if fault.Class(err) != codes.ClassDownloadFailed || !strings.Contains(err.Error(), "too slowly") {
				t.Errorf("class %s: %v", fault.Class(err), err)
			}
			if h.Count() != 1 {
				t.Errorf("%d requests", h.Count())
			}
		})
	}
}

func TestHubETags(t *testing.T) {
	for etag, ok := range map[string]bool{`".."`: false, `"."`: false, `"a/b"`: false, `"../x"`: false, `""`: false,
		`"x.incomplete"`: false, `".x"`: false, `"` + strings.Repeat("a", 300) + `"`: false, `"a\b"`: false,
		`"a b"`: false, `"abc"`: true, `W/"abc-1.2"`: true} {
		t.Run(etag, func(t *testing.T) {
			h := hubtest.New(t, hfModel())
			h.Instead = func(_ string, w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "config.json") {
					return false
				}
				w.Header().Set("ETag", etag)
				w.Header().Set("X-Linked-Etag", etag)
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.Files["config.json"]))
				return true
			}
			err := fetch(t, client(h, ""))
			if ok != (err == nil) || err != nil && (fault.Class(err) != codes.ClassDownloadFailed ||
				!strings.Contains(err.Error(), "no usable ETag")) {
				t.Errorf("class %s: %v", fault.Class(err), err)
			}
			h.Instead = nil // the next hub is a good one
			if err := fetch(t, client(h, "")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestHubPoisonedCacheHeals starts from the cache that earlier versions wrote for the ETags ".." and ".".
func TestHubPoisonedCacheHeals(t *testing.T) {
	for name, poison := range map[string]func(t *testing.T, x *Client){
		"..": func(t *testing.T, x *Client) { write(t, x.cache.repo(testRepo)) },
		".": func(t *testing.T, x *Client) {
			write(t, filepath.Join(x.cache.repo(testRepo), "blobs"))
			if err := x.cache.link(testRepo, hubtest.Commit, "config.json", "."); err != nil {
				t.Fatal(err)
			}
			if err := x.cache.setCommit(testRepo, hubtest.Commit); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.New(t, hfModel())
			x := client(h, "")
			poison(t, x)
			dir, _, err := x.Fetch(t.Context(), testRepo, gguf.Float16)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"config.json", "model.safetensors"} {
				if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !bytes.Equal(b, h.Files[file]) {
					t.Errorf("%s: %v", file, err)
				}
			}
		})
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHubRedirects sends redirects that are not followed, and answers that are not HTTP. None of them is reported
// as a missing network or requested again.
func TestHubRedirects(t *testing.T) {
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", where)
			w.WriteHeader(http.StatusFound)
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, text)
		}
	}
	n := 0
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		most   int
	}{
		"file":        {to("file:///etc/passwd"), `kind "file:"`, 1},
		"ftp":         {to("ftp://localhost/x"), `kind "ftp:"`, 1},
		"circle":      {to("/api/models/org/name/again"), "in a circle", 10},
		"no location": {raw("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), "open it in a browser", 1},
		"NUL": {raw("HTTP/1.1 200 OK\r\nETag: \"a\x00b\"\r\nContent-Length: 0\r\n\r\n"), "not answer like a",
			1},
		"no HTTP": {raw("220 mail.example ESMTP\r\n"), "not answer like a", 1},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			n++
			to(fmt.Sprintf("/api/models/x/%d", n))(w, r)
		}, "more than 10 times", 10},
	} {
		for _, part := range []string{"/api/", "/resolve/"} {
			t.Run(name+part, func(t *testing.T) {
				h := hubtest.New(t, hfModel())
				if part == "/resolve/" { // HEAD and GET
					c.most *= 2
				}
				redirected := 0
				h.Instead = func(_ string, w http.ResponseWriter, r *http.Request) bool {
					list := strings.Contains(r.URL.Path, "/revision/")
					file := strings.HasSuffix(r.URL.Path, "model.safetensors")
					if name == "file" && file && r.Method == http.MethodHead {
						return false
					}
					if part == "/api/" && !list && redirected == 0 || part != "/api/" && !file && redirected == 0 {
						return false
					}
					redirected++
					c.answer(w, r)
					return true
				}
				err := fetch(t, client(h, ""))
				if fault.Class(err) != codes.ClassDownloadFailed || !strings.Contains(err.Error(), c.want) {
					t.Errorf("class %s: %v", fault.Class(err), err)
				}
				if redirected > c.most {
					t.Errorf("%d requests, at most %d wanted", redirected, c.most)
				}
			})
		}
	}
}

func TestHubRedirectLosesTLS(t *testing.T) {
	h := hubtest.New(t, hfModel())
	srv := httptest.NewTLSServer(http.RedirectHandler(h.API.URL+"/api/models/org/name/revision/main", http.StatusFound))
	defer srv.Close()
	x := New(Options{Endpoint: srv.URL, HTTP: srv.Client()})
	err := fetch(t, x)
	if fault.Class(err) != codes.ClassDownloadFailed || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("class %s: %v", fault.Class(err), err)
	}
	if h.Count() != 0 {
		t.Error("it was followed")
	}
	x = New(Options{Endpoint: srv.URL}) // without the certificate
	if err := fetch(t, x); fault.Class(err) != codes.ClassDownloadFailed ||
		!strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("class %s: %v", fault.Class(err), err)
	}
}

func TestHubEndpointIsNoAddress(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	for _, endpoint := range []string{"file:///etc", "huggingface.co", "http://", "://", "javascript:x"} {
		err := fetch(t, New(Options{Endpoint: endpoint}))
		if fault.Class(err) != codes.ClassDownloadFailed || !strings.Contains(err.Error(), "set HF_ENDPOINT") {
			t.Errorf("%s: class %s: %v", endpoint, fault.Class(err), err)
		}
	}
}

// TestHubStatusOfProxies sends answers of proxies between this machine and the hub.
func TestHubStatusOfProxies(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		class  note.Class
		want   string
		times  int
	}{
		"proxy requires a login":   {407, codes.ClassDownloadFailed, "HTTPS_PROXY", 1},
		"network requires a login": {511, codes.ClassDownloadFailed, "log in to the network", 1},
		"forbidden by a page":      {403, codes.ClassGated, "whoever runs the proxy", 1},
		"too many":                 {429, codes.ClassDownloadFailed, "more requests with HF_TOKEN", attempts},
		"bad gateway":              {502, codes.ClassDownloadFailed, "the fault is at the hub", attempts},
		"gone":                     {410, codes.ClassDownloadFailed, "410 Gone", 1},
		"no content":               {204, codes.ClassDownloadFailed, "it sent nothing", 1},
	} {
		h := hubtest.New(t, hfModel())
		instead(h, "api", "/api/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(c.status)
		})
		err := fetch(t, client(h, ""))
		if fault.Class(err) != c.class || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: class %s: %v", name, fault.Class(err), err)
		}
		if h.Count() != c.times {
			t.Errorf("%s: %d requests, want %d", name, h.Count(), c.times)
		}
	}
}

// TestHubPageInPlaceOfFile: a login page that arrives as a file is refused, and nothing of it is kept.
func TestHubPageInPlaceOfFile(t *testing.T) {
	h := hubtest.New(t, hfModel())
	instead(h, "api", "/resolve/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"page"`)
		w.Header().Set("Content-Length", "22")
		fmt.Fprintf(w, "%-22s", "<!DOCTYPE html>")
	})
	x := client(h, "")
	if err := fetch(t, x); fault.Class(err) != codes.ClassDownloadFailed ||
		!strings.Contains(err.Error(), "login page") {
		t.Errorf("class %s: %v", fault.Class(err), err)
	}
	if size(x.cache.blob(testRepo, "page")) >= 0 || size(x.cache.blob(testRepo, "page")+".incomplete") >= 0 {
		t.Error("it is in the cache")
	}
}
