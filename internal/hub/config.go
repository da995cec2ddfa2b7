package hub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// mostConfig is the most that is read of a config.json.
const mostConfig = 4 << 20

// Config reads the config.json of a repository with one request, or the head of the
// one file that is named. It is empty where the repository has none.
func (h *Client) Config(ctx context.Context, id ID) ([]byte, error) {
	if h.offline {
		return nil, h.offlineError(id)
	}
	method, file := http.MethodGet, "config.json"
	if id.File != "" {
		method, file = http.MethodHead, id.File
	}
	u := h.Endpoint + "/" + id.Name + "/resolve/" + url.PathEscape(id.Rev) + "/" + file
	resp, err := h.do(ctx, h.client, method, u, 0)
	if err != nil {
		if ctx.Err() != nil { // it is asked once, and not for long
			err = fault.New(codes.ClassOffline, context.Cause(ctx), "check the network, HF_ENDPOINT and HTTPS_PROXY",
				"%s does not answer", h.Endpoint)
		}
		if t, ok := errors.AsType[*transient](err); ok {
			err = t.err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-Error-Code") == "EntryNotFound" && id.File == "" {
		return nil, nil // such as one that holds GGUF files only
	}
	if err := h.status(resp, id, ""); err != nil {
		if t, ok := errors.AsType[*transient](err); ok {
			err = t.err
		}
		return nil, err
	}
	if method == http.MethodHead {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, mostConfig))
	if err != nil {
		return nil, fault.New(codes.ClassOffline, err, "try again", "reading config.json of %s", id.Name)
	}
	return data, nil
}
