package serving

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
)

// TestListen: beyond this machine the link has a token and the address of an interface; mistakes name the flag.
func TestListen(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{AnyPort: false, "localhost:0": false, "0.0.0.0:0": true} {
		l, err := Listen(t.Context(), "--serve", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if strings.Contains(l.Link, "/?token=") != want || strings.Contains(l.Link, "0.0.0.0") ||
			(l.order.Token != "") != want {
			t.Errorf("%s: link %s", address, l.Link)
		}
	}
	l, err := Listen(t.Context(), "--serve", AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for address, next := range map[string]string{"8642": "HOST:PORT", l.Addr().String(): "--serve=127.0.0.1:0"} {
		_, err := Listen(t.Context(), "--serve", address)
		if wrong, ok := errors.AsType[*Error](err); !ok || !strings.Contains(wrong.NextStep(), next) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestServe answers until its context ends, and needs the token.
func TestServe(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "--listen", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, []string{t.TempDir()}) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for token, want := range map[string]int{"": 401, l.order.Token: 200} {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/metrics", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%d, want %d", resp.StatusCode, want)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the server does not end")
	}
}

// TestStudyThatDoesNotBegin prints nothing, and listens no longer.
func TestStudyThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "--serve", AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	s := NewStudy(l)
	s.Observe(event.Note{Message: "before the study"})
	var out bytes.Buffer
	s.Close(&out)
	if out.Len() > 0 {
		t.Errorf("prints %s", out.String())
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("still listens")
	}
}
