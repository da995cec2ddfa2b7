// Package hub downloads models from a Hugging Face hub into the cache that the Python client also uses: it lists a
// repository, selects the files that running the model needs, resumes interrupted downloads and checks hashes.
// Tokens are sent only to the host they belong to.
package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// Client talks to a Hugging Face hub, or a mirror of one. The protocol is the huggingface_hub client's: a listing
// of the repository at a revision, then one resolve URL per file, which redirects to a storage host.
type Client struct {
	Options
	client  *http.Client
	cache   cache
	offline bool

	wait  func(context.Context, time.Duration) error // sleeps between attempts
	stall time.Duration                              // a download without data for this long is cut
	// slowest is the maximum time in which a list of files must arrive.
	slowest time.Duration
}

// Options select the hub and the wanted files. The zero value means the public hub and all files.
type Options struct {
	HTTP     *http.Client // nil for a client with default timeouts
	Endpoint string       // empty for $HF_ENDPOINT, then huggingface.co
	Token    string       // empty for the token of the user (see [Token])

	NoGGUF  bool // GGUF files cannot be used
	NoTorch bool // PyTorch files cannot be used
	// Usable, if not nil, is called with the folder once config.json is there and before the weights are; its error
	// ends the download.
	Usable   func(dir string) error
	Progress func(done, total int64) // bytes downloaded; may be nil
}

// ID is a repository on the hub, and optionally one file in it.
type ID struct {
	Name string // org/name
	Rev  string // branch, tag or commit
	File string // a .gguf file, or ""
}

var (
	repoPattern = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?(?::([\w./-]+\.gguf))?$`)
	commitHash  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256Hash  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	etagPattern = regexp.MustCompile(`^[\w.-]{1,200}$`)
)

// ParseID reads org/name[@revision][:file.gguf].
func ParseID(s string) (ID, bool) {
	m := repoPattern.FindStringSubmatch(s)
	if m == nil || strings.Contains(m[2], "..") || strings.Contains(m[3], "..") {
		return ID{}, false
	}
	id := ID{Name: m[1], Rev: m[2], File: m[3]}
	if id.Rev == "" {
		id.Rev = "main"
	}
	return id, true
}

// New returns a client. Options that are not set are taken from the environment.
func New(o Options) *Client {
	o.Endpoint = cmp.Or(strings.TrimRight(o.Endpoint, "/"), Endpoint())
	if o.Token == "" {
		o.Token, _ = Token()
	}
	h := &Client{Options: o, cache: cache{cacheDir()}, offline: OfflineSet(), wait: clock.Sleep, stall: time.Minute,
		slowest: 2 * time.Minute}
	c := http.Client{}
	if o.HTTP != nil {
		c = *o.HTTP
	} else {
		c = *HTTP(30 * time.Second)
	}
	c.CheckRedirect = follow
	h.client = &c
	return h
}

// HTTP returns a client that waits at most so long for the beginning of an answer. It follows redirects, and drops the
// token when one leaves the host that the token belongs to.
func HTTP(answer time.Duration) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	t.ResponseHeaderTimeout = answer
	return &http.Client{Transport: t, CheckRedirect: follow}
}

// OfflineSet reports whether the user disabled requests to the hub.
func OfflineSet() bool {
	switch strings.ToLower(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "true", "yes", "on":
		return true
	}
	return false
}

// listing is the hub's description of a repository at a revision.
type listing struct {
	SHA      string    `json:"sha"`
	Siblings []sibling `json:"siblings"`
}

type sibling struct {
	Name string `json:"rfilename"`
	Size int64  `json:"size"`
}

// list requests the files of the repository at the revision.
func (h *Client) list(ctx context.Context, id ID) (listing, error) {
	u := fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true", h.Endpoint, id.Name, url.PathEscape(id.Rev))
	var l listing
	err := h.retry(ctx, func() error {
		ctx, cut := context.WithCancel(ctx)
		defer cut()
		resp, err := h.do(ctx, h.client, http.MethodGet, u, 0)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := h.status(resp, id, ""); err != nil {
			return err
		}
		l, err = h.readListing(ctx, resp, cut, id)
		return err
	})
	return l, err
}

// do sends one request. from > 0 requests the file from that byte on.
func (h *Client) do(ctx context.Context, c *http.Client, method, u string, from int64) (*http.Response, error) {
	if err := h.checkURL(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u, nil)
	if err != nil {
		return nil, fault.New(codes.ClassDownloadFailed, err, "check HF_ENDPOINT", "cannot ask %s", u)
	}
	req.Header.Set("User-Agent", "llem")
	req.Header.Set("Accept-Encoding", "identity") // sizes and ETags are of the plain file
	if h.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, h.failed(ctx, err)
	}
	return resp, nil
}

// status turns an unsuccessful answer into a [fault.Error].
func (h *Client) status(resp *http.Response, id ID, file string) error {
	what := id.Name
	if file != "" {
		what += "/" + file
	}
	page := h.Endpoint + "/" + id.Name
	code := resp.Header.Get("X-Error-Code")
	switch {
	case resp.StatusCode < 400:
		return nil
	case resp.StatusCode == http.StatusProxyAuthRequired, resp.StatusCode == http.StatusNetworkAuthenticationRequired:
		return fault.New(codes.ClassDownloadFailed, nil,
			"log in to the network in a browser, or give user and password in HTTPS_PROXY",
			"a proxy requires a login before it lets %s through (%s)", what, resp.Status)
	case resp.StatusCode == http.StatusForbidden && code == "" && isPage(resp):
		return fault.New(codes.ClassGated, nil,
			"open "+page+" in a browser: accept its licence and set HF_TOKEN, or ask whoever runs the proxy",
			"%s answered 403 for %s with an HTML page: the hub or a proxy in between refuses it", h.Endpoint, what)
	case resp.StatusCode == http.StatusForbidden, code == "GatedRepo":
		return fault.New(codes.ClassGated, nil,
			"accept its licence at "+page+" and set HF_TOKEN to a token of that account",
			"access to %s is restricted", what)
	case code == "RevisionNotFound":
		return fault.New(codes.ClassModelNotFound, nil, "see the branches at "+page, "%s has no revision %q", id.Name,
			id.Rev)
	case code == "EntryNotFound":
		return fault.New(codes.ClassModelNotFound, nil, "see the files at "+page, "%s does not exist at revision %q",
			what,
			id.Rev)
	case resp.StatusCode == http.StatusUnauthorized && h.Token != "" && code != "RepoNotFound":
		return fault.New(codes.ClassGated, nil,
			"HF_TOKEN is wrong or has expired; make a new one at "+h.Endpoint+
				"/settings/tokens", "the hub refused the token for %s", what)
	case resp.StatusCode == http.StatusUnauthorized && code != "RepoNotFound":
		return fault.New(codes.ClassGated, nil,
			"set HF_TOKEN; check the spelling too, the hub answers the same for a model that does not exist",
			"%s needs a token", what)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusNotFound:
		return fault.New(codes.ClassModelNotFound, nil, "check the spelling; a private model needs HF_TOKEN",
			"there is no model %s on %s", id.Name, h.Endpoint)
	}
	next, again := checkEndpoint, false
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		next, again = "try again later; the hub allows more requests with HF_TOKEN set", true
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		next, again = "try again later: the fault is at the hub or a proxy", true
	}
	e := fault.New(codes.ClassDownloadFailed, nil, next, "%s answered %s for %s", h.Endpoint, resp.Status, what)
	if again {
		return &transient{e}
	}
	return e
}

// isPage reports whether an answer is a web page.
func isPage(resp *http.Response) bool {
	return strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/html")
}

// transient marks a failure that may vanish on the next attempt.
type transient struct{ err error }

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

// attempts is how often a transient failure is retried without any progress.
const attempts = 5

// retry repeats f after 1, 2, 4 and 8 seconds while its failure is transient.
func (h *Client) retry(ctx context.Context, f func() error) error {
	for i := 0; ; i++ {
		err := f()
		var t *transient
		if !errors.As(err, &t) {
			return err
		}
		if isNoHost(err) || i == attempts-1 {
			return t.err
		}
		if werr := h.wait(ctx, time.Second<<i); werr != nil {
			return fault.New(codes.ClassInterrupted, werr, "run it again to continue where it stopped",
				"the download was interrupted")
		}
	}
}

// isNoHost reports failures that waiting will hardly cure: a name that does not resolve, a port where nobody
// listens.
func isNoHost(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) && !dns.IsTemporary || errors.As(err, &op) && op.Op == "dial"
}

// wanted selects the files that running the model needs. Weights are safetensors if there are any, otherwise GGUF,
// otherwise PyTorch files.
func wanted(l listing, id ID, dtype gguf.DType, o Options) ([]sibling, error) {
	byExt := map[string][]sibling{}
	var side []sibling
	for _, s := range l.Siblings {
		if !filepath.IsLocal(filepath.FromSlash(s.Name)) {
			continue // never write outside the cache
		}
		ext := path.Ext(s.Name)
		switch {
		case ext == ".gguf":
			byExt[ext] = append(byExt[ext], s)
		case strings.Contains(s.Name, "/"): // other formats and older copies are in folders
		case ext == ".safetensors", ext == ".bin" && strings.HasPrefix(s.Name, "pytorch_model"):
			byExt[ext] = append(byExt[ext], s)
		case isSideFile(s.Name):
			side = append(side, s)
		}
	}
	switch {
	case id.File != "":
		i := slices.IndexFunc(byExt[".gguf"], func(s sibling) bool { return s.Name == id.File })
		if i < 0 {
			return nil, fault.New(codes.ClassModelNotFound, nil, "it has "+names(byExt[".gguf"]), "%s has no file %s",
				id.Name,
				id.File)
		}
		return byExt[".gguf"][i : i+1], nil
	case len(byExt[".safetensors"]) > 0:
		return append(side, dropCopies(byExt[".safetensors"], side)...), nil
	case len(byExt[".gguf"]) > 0 && len(byExt[".bin"]) == 0 && o.NoGGUF:
		return nil, fault.New(codes.ClassUnsupportedModel, nil,
			"use the embedded backend, or the repository that it was made from",
			"%s holds only GGUF files, but this backend needs safetensors", id.Name)
	case len(byExt[".gguf"]) > 0 && !o.NoGGUF:
		g, err := chooseGGUF(byExt[".gguf"], id, dtype)
		return []sibling{g}, err
	case len(byExt[".bin"]) > 0 && o.NoTorch:
		return nil, fault.New(codes.ClassUnsupportedModel, nil,
			"use a version of it with safetensors, a GGUF file, or a Python backend",
			"%s holds its weights only as PyTorch files, which cannot be converted", id.Name)
	case len(byExt[".bin"]) > 0:
		return append(side, byExt[".bin"]...), nil
	}
	return nil, fault.New(codes.ClassUnsupportedModel, nil, "choose a repository that holds the weights",
		"%s has no safetensors, GGUF or PyTorch weights", id.Name)
}

// isSideFile reports whether a file is configuration or tokenizer.
func isSideFile(name string) bool {
	switch name {
	case "config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
		"vocab.txt",
		"merges.txt", "chat_template.jinja", "model.safetensors.index.json", "pytorch_model.bin.index.json",
		"preprocessor_config.json":
		return true
	}
	return strings.HasPrefix(name, "tokenizer")
}

// dropCopies removes the single-file copy of the weights that some publishers keep beside the files of the index.
func dropCopies(weights, side []sibling) []sibling {
	if !slices.ContainsFunc(side, func(s sibling) bool { return s.Name == "model.safetensors.index.json" }) {
		return weights
	}
	return slices.DeleteFunc(slices.Clone(weights),
		func(s sibling) bool { return strings.HasPrefix(s.Name, "consolidated") })
}

// chooseGGUF returns the only file, or the only one with the dtype in its name.
func chooseGGUF(files []sibling, id ID, dtype gguf.DType) (sibling, error) {
	if len(files) == 1 {
		return files[0], nil
	}
	short := map[gguf.DType][]string{gguf.Float32: {"f32", "fp32"}, gguf.Float16: {"f16", "fp16"},
		gguf.BFloat16: {"bf16"},
		gguf.Q8_0:     {"q8_0"}, gguf.Q4_0: {"q4_0"}}
	var match []sibling
	for _, f := range files {
		words := strings.FieldsFunc(strings.ToLower(f.Name),
			func(r rune) bool { return r == '-' || r == '.' || r == '/' })
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(short[dtype], w) }) {
			match = append(match, f)
		}
	}
	if len(match) == 1 {
		return match[0], nil
	}
	return sibling{}, fault.New(codes.ClassModelNotFound, nil,
		fmt.Sprintf("name one as %s:FILE; it has %s", id.Name, names(files)),
		"%s has %d GGUF files, and dtype %q does not select exactly one", id.Name, len(files), dtype)
}

func names(files []sibling) string {
	var n []string
	for _, f := range files {
		n = append(n, f.Name)
	}
	if len(n) == 0 {
		return "none"
	}
	return strings.Join(n, ", ")
}
