package share

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/secret"
)

// Error is a failure with the next step for the user.
type Error struct {
	// What failed, and where.
	What string
	// Next is the next step.
	Next string
	// Usage reports a mistake of the user, before anything was sent.
	Usage bool
	// Status is the status of the hub's answer; 0 if there was none.
	Status int
	// Err is the cause, if it is not in What.
	Err error

	again bool          // whether a repetition may succeed
	after time.Duration // how long the hub asks to wait
}

// Error returns what failed.
func (e *Error) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.Next }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// checkHub is the next step if something else than a hub answers.
const checkHub = "open the address in a browser; check HF_ENDPOINT and HTTPS_PROXY"

// resumes is the next step of a failure that may vanish.
const resumes = "run the same command again later: what has arrived is not transferred again"

// unreachable is the failure of a request without an answer.
func (c *Client) unreachable(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	where := "HF_ENDPOINT"
	if c.plain {
		where = "the address"
	}
	e := &Error{What: fmt.Sprintf("cannot %s: no answer from %s (%s)", doing, c.Endpoint, brief(err)), Err: err,
		Next: "check the network, " + where + " and HTTPS_PROXY; " + resumes, again: true}
	// Waiting does not help if the name does not exist or nobody listens.
	dns, unknown := errors.AsType[*net.DNSError](err)
	op, dial := errors.AsType[*net.OpError](err)
	if unknown && !dns.IsTemporary || dial && op.Op == "dial" {
		e.again = false
	}
	if strings.Contains(err.Error(), "certificate") {
		e.Next, e.again = "if a proxy inspects TLS, set SSL_CERT_FILE to its certificate; check the clock too", false
	}
	if strings.Contains(err.Error(), "redirect") || strings.Contains(err.Error(), "malformed HTTP") {
		e.Next, e.again = checkHub, false
	}
	return e
}

// brief returns the cause of a failed request without its address, which may hold a signature.
func brief(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.Contains(err.Error(), "://") && !strings.Contains(err.Error(), "\"") {
			return err.Error()
		}
		err = inner
	}
}

// asked is what a request was about, for the message of its failure.
type asked struct {
	// doing continues "cannot", such as "list the files of hf:USER/NAME".
	doing string
	// name of the repository.
	name string
	// writes reports whether it needs a token that may write.
	writes bool
}

// failure returns the failure that an answer means; nil for success.
func (c *Client) failure(resp *http.Response, of asked) error {
	if resp.StatusCode < 300 {
		return nil
	}
	said, page := c.said(resp)
	answered := "answered " + strconv.Itoa(resp.StatusCode)
	if text := http.StatusText(resp.StatusCode); text != "" {
		answered += " " + text
	}
	if said != "" {
		answered += ": " + said
	}
	e := &Error{Status: resp.StatusCode,
		What: fmt.Sprintf("cannot %s: %s %s", of.doing, resp.Request.URL.Host, answered)}
	e.Next, e.again = c.next(resp.StatusCode, of, page)
	if e.again {
		e.after = askedToWait(resp.Header)
	}
	return e
}

// next returns the next step for a status, and whether a repetition may succeed.
func (c *Client) next(status int, of asked, page bool) (next string, again bool) {
	tokens := c.Endpoint + "/settings/tokens"
	role := "read"
	if of.writes {
		role = "write"
	}
	user, _, _ := strings.Cut(of.name, "/")
	switch {
	case page && status != http.StatusTooManyRequests && status < 500:
		return "a web page came instead of an answer of the hub, such as the login of a proxy: " + checkHub, false
	case status == http.StatusUnauthorized && c.Token == "":
		return fmt.Sprintf("log in with `hf auth login`, or set HF_TOKEN to a token with the role %s from %s", role,
			tokens), false
	case status == http.StatusUnauthorized:
		return fmt.Sprintf("the token from %s is wrong or has expired: make another at %s", c.TokenFrom, tokens), false
	case status == http.StatusForbidden && c.Token == "":
		return "set HF_TOKEN to a token of an account with access, from " + tokens, false
	case status == http.StatusForbidden:
		return fmt.Sprintf("the token from %s has no %s access to %s: change its permissions at %s, or name a "+
			"repository of your own", c.TokenFrom, role, user, tokens), false
	case status == http.StatusNotFound:
		return "check the spelling; a private repository needs the token of an account that can read it", false
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return "the repository was changed meanwhile: run the same command again", false
	case status == http.StatusRequestEntityTooLarge:
		return "it is more than the hub, or a proxy before it, takes: free space in the account, ask who runs the " +
			"proxy, or publish a static site with `llem site`", false
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return resumes, true
	case status >= 500:
		return "the fault is at the hub or a proxy: " + resumes, true
	case status < 400:
		return checkHub, false
	}
	return "correct what the hub names, and run the same command again", false
}

// mostSaid bounds what is read and quoted of a failed answer, in bytes.
const mostSaid = 4 << 10

// said returns the hub's own message, and whether the answer is a web page.
func (c *Client) said(resp *http.Response) (text string, page bool) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, mostSaid)) // the status is enough
	if strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/html") {
		return "", true
	}
	var doc struct {
		Error   any    `json:"error"`
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &doc) == nil {
		text, _ = doc.Error.(string)
		for _, e := range doc.Errors {
			text += " " + e.Message
		}
	}
	text = cmp.Or(text, doc.Message, resp.Header.Get("X-Error-Message"))
	text = strings.Join(strings.Fields(secret.Text(text)), " ")
	if c.Token != "" {
		text = strings.ReplaceAll(text, c.Token, "[token]")
	}
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + "…"
	}
	return text, false
}

// quota matches the time in seconds after which requests are allowed again, as the hub announces it.
var quota = regexp.MustCompile(`\bt=(\d{1,6})\b`)

// askedToWait returns how long the hub asks to wait; 0 if it does not.
func askedToWait(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return time.Duration(min(n, 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	if m := quota.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n) * time.Second
	}
	return 0
}

// attempts is how often a request is sent until its failure is final.
const attempts = 5

// mostWait is the longest wait that is worth it; the user repeats the command after a longer one.
const mostWait = 5 * time.Minute

// retry repeats f after 1, 2, 4 and 8 seconds, or after as long as the hub asks, while its failure may vanish.
func (c *Client) retry(ctx context.Context, f func() error) error {
	for i := 0; ; i++ {
		err := f()
		e, ok := errors.AsType[*Error](err)
		if !ok || !e.again {
			return err
		}
		if i == attempts-1 {
			e.What += fmt.Sprintf(" (%d attempts)", attempts)
			return e
		}
		pause := max(time.Second<<i, e.after)
		if pause > mostWait {
			e.Next = fmt.Sprintf("the hub asks to wait %s: %s", pause.Round(time.Second), resumes)
			return e
		}
		c.note(fmt.Sprintf("%s; next attempt in %s", e.What, pause.Round(time.Second)))
		if err := c.wait(ctx, pause); err != nil {
			return context.Cause(ctx)
		}
	}
}
