package hub

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
)

// mostConfig is the maximum size of a config.json, in bytes.
const mostConfig = 4 << 20

// Config reads the config.json of a repository with one request, or the header of the one file that is named. It
// is empty if the repository has none.
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
		if ctx.Err() != nil { // there is only one request, with a short time limit
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
		return nil, nil // such as a repository of GGUF files only
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
	if err := h.plain(resp, "config.json of "+id.Name); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, mostConfig+1))
	switch {
	case err != nil:
		return nil, fault.New(codes.ClassOffline, err, "try again", "reading config.json of %s", id.Name)
	case len(data) > mostConfig:
		return nil, fault.New(codes.ClassDownloadFailed, nil, checkEndpoint, "config.json of %s is longer than %s",
			id.Name,
			disk.SizeText(mostConfig))
	case isHTML(data):
		return nil, h.notAsExpected("config.json of "+id.Name, data, errors.ErrUnsupported)
	}
	return data, nil
}
