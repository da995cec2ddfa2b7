package hub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
)

// The server may not be a hub: a proxy with its login page, a faulty mirror, or a hostile server. Answers are
// bounded in size and time, and wrong ones are described in the error.

const (
	// mostRedirects is the maximum number of redirects per request.
	mostRedirects = 10
	// mostListing is the maximum size of a list of files, in bytes.
	mostListing = 64 << 20
)

// checkEndpoint is the next step if answers do not come from a hub.
const checkEndpoint = "open it in a browser; check HF_ENDPOINT and HTTPS_PROXY"

// redirectError is a redirect that is not followed.
type redirectError struct{ why string }

func (e *redirectError) Error() string { return e.why }

// follow is the redirect policy. It drops the token as soon as a redirect leaves the first host and port; storage
// URLs carry their own signature.
func follow(req *http.Request, via []*http.Request) error {
	if len(via) >= mostRedirects {
		for _, v := range via {
			if v.URL.String() == req.URL.String() {
				return &redirectError{"it redirects in a circle"}
			}
		}
		return &redirectError{fmt.Sprintf("it redirects more than %d times", mostRedirects)}
	}
	last := via[len(via)-1].URL
	switch {
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return &redirectError{fmt.Sprintf("it redirects to an address of the kind %.20q", req.URL.Scheme+":")}
	case req.URL.Scheme == "http" && last.Scheme == "https":
		return &redirectError{"it redirects from https to http, where anybody may change what is sent"}
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		req.Header.Del("Authorization")
	}
	return nil
}

// checkURL refuses an endpoint that is not a web address.
func (h *Client) checkURL() error {
	u, err := url.Parse(h.Endpoint)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return nil
	}
	return fault.New(codes.ClassDownloadFailed, nil, "set HF_ENDPOINT to an address like https://huggingface.co",
		"the endpoint of the hub is not an http or https address")
}

// failed turns a request without an answer into a [fault.Error]. An error that may vanish on retry is transient.
func (h *Client) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.New(codes.ClassInterrupted, ctx.Err(), "run it again to continue where it stopped",
			"the download was interrupted")
	}
	if bad, ok := errors.AsType[*redirectError](err); ok {
		return fault.New(codes.ClassDownloadFailed, nil, checkEndpoint, "%s did not answer like a hub: %s", h.Endpoint,
			bad.why)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.New(codes.ClassDownloadFailed, err,
			"if a proxy inspects TLS, set SSL_CERT_FILE to its certificate; check the clock too",
			"the certificate of %s is not trusted", h.Endpoint)
	}
	if notHTTP(err) {
		return fault.New(codes.ClassDownloadFailed, err, checkEndpoint, "%s did not answer like a hub", h.Endpoint)
	}
	return &transient{fault.New(codes.ClassOffline, err,
		"check the network, HF_ENDPOINT and HTTPS_PROXY; random:<shape> and local files need no network",
		"cannot reach %s", h.Endpoint)}
}

// notHTTP reports whether an answer came that violates the protocol. The library has no types for most of these
// errors.
func notHTTP(err error) bool {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	text := err.Error()
	for _, part := range []string{"malformed HTTP", "malformed MIME", "invalid header", "response headers exceeded",
		"parse Location header", "unsupported protocol scheme", "bad Content-Length",
		"unsupported transfer encoding", "too many transfer encodings"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// plain refuses a compressed answer to a request for the plain one: sizes and hashes are of the plain file.
func (h *Client) plain(resp *http.Response, what string) error {
	switch coding := strings.ToLower(resp.Header.Get("Content-Encoding")); {
	case coding == "", coding == "identity", resp.StatusCode >= http.StatusMultipleChoices:
		return nil
	default:
		return fault.New(codes.ClassDownloadFailed, nil, checkEndpoint,
			"%s sent %s compressed (Content-Encoding: %.20q), although the plain bytes were requested", h.Endpoint,
			what, coding)
	}
}

// readListing reads the list of files of a repository.
func (h *Client) readListing(ctx context.Context, resp *http.Response, cut func(), id ID) (l listing, err error) {
	what := "the list of files of " + id.Name
	if err := h.plain(resp, what); err != nil {
		return l, err
	}
	text, err := h.readAll(ctx, resp.Body, cut, what, mostListing)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, h.notAsExpected(what, text, err)
	}
	if !commitHash.MatchString(l.SHA) {
		return l, fault.New(codes.ClassDownloadFailed, nil, checkEndpoint,
			"%s did not answer like a Hugging Face hub: the list of files names no commit", h.Endpoint)
	}
	return l, nil
}

// readAll reads a small answer completely. It must arrive at a minimum speed.
func (h *Client) readAll(ctx context.Context, body io.Reader, cut func(), what string, most int64) ([]byte, error) {
	timer := time.AfterFunc(h.slowest, cut)
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	inTime := timer.Stop()
	switch {
	case err != nil && ctx.Err() != nil && inTime: // nobody but the user ended it
		return nil, h.failed(ctx, err)
	case err != nil && !inTime:
		return nil, fault.New(codes.ClassDownloadFailed, nil, "try again later; check HF_ENDPOINT and HTTPS_PROXY",
			"%s sent %s too slowly: it was not complete after %s", h.Endpoint, what, h.slowest)
	case err != nil:
		return nil, &transient{fault.New(codes.ClassDownloadFailed, err, "try again",
			"the connection was cut while reading %s", what)}
	case int64(len(text)) > most:
		return nil, fault.New(codes.ClassDownloadFailed, nil, checkEndpoint, "%s of %s is longer than %s", what,
			h.Endpoint, disk.SizeText(most))
	}
	return text, nil
}

// notAsExpected describes an answer that is not the expected JSON document.
func (h *Client) notAsExpected(what string, text []byte, err error) error {
	received := "something that is not JSON"
	look, odd := disk.LookOf(text)
	switch {
	case odd:
		received = look.What
		if isHTML(text) {
			received = "an HTML page, such as the login page of a proxy"
		}
	case len(text) == 0:
		received = "nothing"
	case strings.HasPrefix(string(text), "\x1f\x8b"):
		received = "gzip data, although the plain text was requested"
	case strings.Contains(err.Error(), "max depth"):
		received = "JSON that is nested too deeply"
	case strings.Contains(err.Error(), "unexpected end of JSON"):
		received = "truncated JSON"
	case json.Valid(text):
		received = "JSON of another form"
	}
	return fault.New(codes.ClassDownloadFailed, nil, checkEndpoint,
		"%s did not answer like a Hugging Face hub: instead of %s it sent %s", h.Endpoint, what, received)
}

// isHTML reports whether a text begins like a web page.
func isHTML(text []byte) bool {
	start := strings.ToLower(strings.TrimLeft(string(text[:min(len(text), 512)]), " \t\r\n"))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

// safeETag reports whether an ETag can be a file name in the cache, and cannot refer to anything else in its
// folder.
func safeETag(etag string) bool {
	return etagPattern.MatchString(etag) && !strings.HasPrefix(etag, ".") && !strings.HasSuffix(etag, ".incomplete")
}
