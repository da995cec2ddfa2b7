package sensors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/prom"
)

const (
	// pageLimit bounds a page in bytes. A dcgm-exporter has about 10 kB per GPU.
	pageLimit = 8 << 20
	// pageTimeout bounds a fetch while sampling, because Stop may have to wait for it.
	pageTimeout = 2 * time.Second
	// openTimeout bounds the first fetch, which also resolves the host name and connects.
	openTimeout = 5 * time.Second
)

// fetcher returns the text of a page.
type fetcher func(ctx context.Context, address string) ([]byte, error)

// httpFetcher returns a fetcher with its own connections, which stop closes.
func httpFetcher() (fetch fetcher, stop func()) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	client := &http.Client{Transport: transport}
	return func(ctx context.Context, address string) ([]byte, error) {
		return fetchPage(ctx, client, address)
	}, transport.CloseIdleConnections
}

func fetchPage(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4, */*;q=0.1")
	req.Header.Set("User-Agent", "llem")
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the caller's message has the address
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/html" {
		return nil, prom.ErrHTML
	}
	page, err := io.ReadAll(io.LimitReader(resp.Body, pageLimit+1))
	if err != nil {
		return nil, fmt.Errorf("the page ended early: %w", err)
	}
	if len(page) > pageLimit {
		return nil, fmt.Errorf("the page is larger than %d MiB", pageLimit>>20)
	}
	return page, nil
}

// statusError is an HTTP status other than 200.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", int(e), http.StatusText(int(e)))
}

// remoteFix returns the next step for a page that cannot be read.
func remoteFix(address string, err error) string {
	var dns *net.DNSError
	var status statusError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the exporter, or correct the port: curl -s " + address + " | head"
	case errors.As(err, &dns):
		return "correct the host name"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err,
		syscall.ENETUNREACH):
		return "check that the host is up and its port is open: curl -s " + address + " | head"
	case errors.Is(err, prom.ErrHTML), errors.Is(err, prom.ErrNoMetrics), errors.As(err, &status) &&
		status == http.StatusNotFound:
		return "give the path of the metrics page, such as http://host:9400/metrics"
	case errors.As(err, &status) && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return "let the exporter answer this host without credentials"
	}
	return "look at the page: curl -s " + address + " | head"
}
