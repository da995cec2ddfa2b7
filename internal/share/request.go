package share

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// call is one request to the hub or to its storage.
type call struct {
	asked
	method, url string
	// kind is the type of the body.
	kind string
	// body opens the body; nil for none.
	body func() (io.ReadCloser, error)
	size int64
	// header has other lines of the header.
	header map[string]string
}

// mostAnswer bounds answers that are read as a whole, in bytes.
const mostAnswer = 256 << 20

// send sends a request, again if that may help, and hands the answer to use. A request that stalls is cut.
func (c *Client) send(ctx context.Context, r call, use func(*http.Response) error) error {
	if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return &Error{What: fmt.Sprintf("the address of the hub is not http or https: %.80q", c.Endpoint), Usage: true,
			Next: "set HF_ENDPOINT to an address like https://huggingface.co"}
	}
	return c.retry(ctx, func() error { return c.once(ctx, r, use) })
}

// once sends a request.
func (c *Client) once(ctx context.Context, r call, use func(*http.Response) error) error {
	within, cut := context.WithCancel(ctx)
	defer cut()
	var sent *watched
	var body io.Reader
	if r.body != nil {
		in, err := r.body()
		if err != nil {
			return err
		}
		defer in.Close()
		sent = watch(in, c.stall, cut)
		defer sent.stop()
		body = sent
	}
	req, err := http.NewRequestWithContext(within, r.method, r.url, body)
	if err != nil {
		return &Error{What: fmt.Sprintf("cannot %s: the hub names an address that is none", r.doing), Next: checkHub}
	}
	if r.body != nil {
		if req.ContentLength = r.size; r.size == 0 {
			req.Body = http.NoBody
		}
	}
	req.Header.Set("User-Agent", "llem")
	req.Header.Set("Accept-Encoding", "identity")
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
		req.Header.Set("Accept", r.kind)
	}
	if r.kind == ndjson {
		req.Header.Set("Accept", plainJSON)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if c.Token != "" && c.own(req.URL) {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.http
	if r.kind == ndjson {
		client = c.slow
	}
	resp, err := client.Do(req)
	if err != nil {
		if sent != nil && sent.err() != nil {
			return sent.err() // the file could not be read: nothing to repeat
		}
		if sent != nil && sent.stalled() {
			err = fmt.Errorf("nothing could be sent for %s", c.stall)
		}
		return c.unreachable(ctx, r.doing, err)
	}
	defer resp.Body.Close()
	if err := c.failure(resp, r.asked); err != nil {
		return err
	}
	if use == nil {
		return nil
	}
	got := watch(resp.Body, c.stall, cut)
	defer got.stop()
	resp.Body = got
	return use(resp)
}

// own reports whether an address is of the hub itself, which alone gets the token.
func (c *Client) own(u *url.URL) bool {
	e, err := url.Parse(c.Endpoint)
	return err == nil && u.Scheme == e.Scheme && u.Host == e.Host
}

// Types of bodies.
const (
	plainJSON = "application/json"
	lfsJSON   = "application/vnd.git-lfs+json"
	ndjson    = "application/x-ndjson"
)

// exchange sends a JSON document, if in is not nil, and reads the answer into out, if it is not nil.
func (c *Client) exchange(ctx context.Context, r call, in, out any) error {
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode a request: %w", err)
		}
		r.size = int64(len(text))
		r.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
		if r.kind == "" {
			r.kind = plainJSON
		}
	}
	return c.send(ctx, r, func(resp *http.Response) error {
		if out == nil {
			return nil
		}
		return c.decode(resp, r.asked, out)
	})
}

// decode reads an answer.
func (c *Client) decode(resp *http.Response, of asked, out any) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	if err != nil {
		return &Error{What: fmt.Sprintf("cannot %s: the answer of %s was cut off", of.doing, c.Endpoint), Err: err,
			Next: resumes, again: true}
	}
	if err := json.Unmarshal(text, out); err != nil || len(text) > mostAnswer {
		got := "something else than JSON"
		if start := strings.ToLower(strings.TrimSpace(string(text[:min(len(text), 512)]))); start == "" {
			got = "nothing"
		} else if strings.HasPrefix(start, "<") {
			got = "a web page, such as the login of a proxy"
		} else if json.Valid(text) {
			got = "JSON of another form"
		}
		return &Error{What: fmt.Sprintf("cannot %s: %s does not answer like a Hugging Face hub: it sent %s", of.doing,
			c.Endpoint, got), Next: checkHub, Err: err}
	}
	return nil
}

// watched is a body that ends the request if nothing moves for too long.
type watched struct {
	io.ReadCloser
	idle  *time.Timer
	stall time.Duration
	late  atomic.Bool
	fault atomic.Pointer[error]
}

// watch begins to watch a body.
func watch(in io.ReadCloser, stall time.Duration, cut func()) *watched {
	w := &watched{ReadCloser: in, stall: stall}
	w.idle = time.AfterFunc(stall, func() {
		w.late.Store(true)
		cut()
	})
	return w
}

// Read implements io.Reader. After the end of the body the hub has its own time to answer.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err == nil {
		w.idle.Reset(w.stall)
		return n, nil
	}
	w.idle.Stop()
	if err != io.EOF && !errors.Is(err, fs.ErrClosed) { // it is closed when the hub answers before the end
		w.fault.Store(&err)
	}
	return n, err
}

// stop ends the watch.
func (w *watched) stop() { w.idle.Stop() }

// stalled reports whether the request was cut.
func (w *watched) stalled() bool { return w.late.Load() }

// err returns why the body could not be read.
func (w *watched) err() error {
	if p := w.fault.Load(); p != nil {
		return *p
	}
	return nil
}
