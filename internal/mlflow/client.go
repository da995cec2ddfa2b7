package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
)

// object is a JSON object.
type object = map[string]any

// Client talks to a tracking server.
type Client struct {
	// URL of the server.
	URL string
	// Token, or User and Password, are sent with each request.
	Token, User, Password string
	// Note is told what the client waits for.
	Note func(text string)

	http  *http.Client
	pause time.Duration // before the first repetition
}

// tries is how often a request is sent.
const tries = 5

// answerTime is how long the server may take to answer: its first answer takes seconds.
const answerTime = 2 * time.Minute

// mostAnswer bounds an answer, in bytes.
const mostAnswer = 16 << 20

// New returns a client with the account of MLFLOW_TRACKING_TOKEN, or of MLFLOW_TRACKING_USERNAME and _PASSWORD.
func New(address string, getenv func(string) string, note func(string)) *Client {
	return &Client{URL: address, Token: getenv("MLFLOW_TRACKING_TOKEN"), User: getenv("MLFLOW_TRACKING_USERNAME"),
		Password: getenv("MLFLOW_TRACKING_PASSWORD"), Note: note, pause: time.Second, http: &http.Client{
			Timeout: answerTime,
			CheckRedirect: func(_ *http.Request, via []*http.Request) error {
				if len(via) > 0 {
					return http.ErrUseLastResponse // a sign-in page: its address is in the message
				}
				return nil
			}}}
}

// get asks for something.
func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, "mlflow/"+path, nil, into)
}

// post sends an object; the server refuses it without the content type.
func (c *Client) post(ctx context.Context, path string, body object, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode for %s: %w", path, err)
	}
	return c.call(ctx, http.MethodPost, "mlflow/"+path, text, into)
}

// call sends a request until it is answered.
func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	return c.retry(ctx, path, func() error {
		r, err := http.NewRequestWithContext(ctx, method, c.URL+"/api/2.0/"+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		return c.do(r, path, into)
	})
}

// put sends a file.
func (c *Client) put(ctx context.Context, path, local string) error {
	n, err := size(local)
	if err != nil {
		return err
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	where := "mlflow-artifacts/artifacts/" + strings.Join(parts, "/")
	return c.retry(ctx, where, func() error {
		f, err := disk.Open(local, disk.Unbounded)
		if err != nil {
			return err
		}
		defer f.Close()
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, c.URL+"/api/2.0/"+where, f)
		if err != nil {
			return err
		}
		r.ContentLength = n
		if n == 0 {
			r.Body = http.NoBody
		}
		r.Header.Set("Content-Type", "application/octet-stream")
		return c.do(r, where, nil)
	})
}

// do sends a request once.
func (c *Client) do(r *http.Request, path string, into any) error {
	switch {
	case c.Token != "":
		r.Header.Set("Authorization", "Bearer "+c.Token)
	case c.User != "":
		r.SetBasicAuth(c.User, c.Password)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if answer.StatusCode/100 != 2 {
		return c.refusal(path, answer, text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return c.odd("the answer to " + path + " is not MLflow's JSON")
	}
	return nil
}

// retry repeats a request while its failure may vanish, after 1, 2, 4 and 8 seconds or as long as the server asks.
// runs/create is not repeated after a lost answer: the run may exist, and the next push finds it.
func (c *Client) retry(ctx context.Context, path string, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		e, ok := errors.AsType[*Error](err)
		if err == nil || !ok || n == tries || ctx.Err() != nil || !e.vanishes(path) {
			return err
		}
		wait := max(c.pause<<(n-1), e.after)
		c.Note(fmt.Sprintf("%s; trying again in %v", e.What, wait))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// vanishes reports whether a failure may not come again.
func (e *Error) vanishes(path string) bool {
	if e.Err != nil {
		return !strings.HasSuffix(path, "runs/create")
	}
	return e.status == http.StatusTooManyRequests || e.status >= 500 && e.status != http.StatusNotImplemented
}

// unreachable is a server that does not answer.
func (c *Client) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	next := "start it (`mlflow server`), or give its address: mlflow:http://HOST:5000"
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		next = "push again when it answers; complete runs are not sent again"
	}
	return &Error{What: fmt.Sprintf("the tracking server %s cannot be reached: %v", c.URL, err), Next: next, Err: err}
}

// odd is an address where something else answers.
func (c *Client) odd(what string) error {
	return &Error{What: fmt.Sprintf("%s is not an MLflow tracking server: %s", c.URL, what),
		Next: "give the address that `mlflow server` prints, without a path behind it unless it runs below one"}
}

// longest is how long a server may ask to wait.
const longest = time.Minute

// refusal explains an answer that is not a success.
func (c *Client) refusal(path string, answer *http.Response, text []byte) error {
	var told struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	e := &Error{status: answer.StatusCode}
	if json.Unmarshal(text, &told) == nil {
		e.code = told.Code
	}
	message, _, _ := strings.Cut(told.Message, "\n")
	e.What = fmt.Sprintf("%s answers %s to %s", c.URL, answer.Status, path)
	if message != "" {
		e.What += ": " + cut(message, 300)
	}
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err == nil {
		e.after = min(time.Duration(seconds)*time.Second, longest)
	}
	switch {
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden,
		answer.StatusCode/100 == 3:
		e.Next = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, of an account " +
			"that may write"
	case e.code == "" && answer.StatusCode == http.StatusNotFound && strings.HasPrefix(path, "mlflow/"):
		return c.odd("it answers 404 to " + path)
	case answer.StatusCode == http.StatusRequestEntityTooLarge:
		e.Next = "raise the limit of the proxy before the server, and push again; complete runs are not sent again"
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests:
		e.Next = "push again later; complete runs are not sent again. The server's log has the reason"
	default:
		e.Next = "name another experiment with mlflow:" + c.URL + "#NAME; if it is refused too, the server is of a " +
			"version that llem does not know"
	}
	return e
}
