package share

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Visibilities of a repository.
const (
	Private = "private"
	Public  = "public"
)

// Info describes a repository at a revision.
type Info struct {
	// Commit of the revision.
	Commit string
	// Private reports whether others cannot see it.
	Private bool
}

// Remote is a file of a repository.
type Remote struct {
	// Path within the repository.
	Path string
	// Size in bytes.
	Size int64
	// SHA256 is the hash of a file in the storage of large files; SHA1 of another one, as git computes it.
	SHA256, SHA1 string
}

// Info asks for a repository; nil if it does not exist, or if the token cannot see it.
func (c *Client) Info(ctx context.Context, ref Ref) (*Info, error) {
	var doc struct {
		SHA        string `json:"sha"`
		Private    bool   `json:"private"`
		Visibility string `json:"visibility"`
	}
	of := asked{doing: "read " + ref.String(), name: ref.Name}
	err := c.exchange(ctx, call{asked: of, method: http.MethodGet,
		url: fmt.Sprintf("%s/api/datasets/%s/revision/%s", c.Endpoint, ref.Name, url.PathEscape(ref.Rev))}, nil, &doc)
	if e, ok := errors.AsType[*Error](err); ok && missing(e, c.Token) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !commitHash.MatchString(doc.SHA) {
		return nil, &Error{What: fmt.Sprintf("cannot read %s: %s names no commit of it", ref, c.Endpoint),
			Next: checkHub}
	}
	return &Info{doc.SHA, doc.Private || doc.Visibility == Private}, nil
}

// missing reports whether a failure means that there is no such repository. The hub answers 401 for one that it hides
// from somebody without a login.
func missing(e *Error, token string) bool {
	return e.Status == http.StatusNotFound || e.Status == http.StatusUnauthorized && token == ""
}

// Missing is the failure of a repository that must exist.
func (c *Client) Missing(ref Ref) error {
	e := &Error{What: fmt.Sprintf("there is no data set %s on %s", ref, c.Endpoint), Status: http.StatusNotFound,
		Next: "check the spelling and the revision; a private one needs the token of an account that can read it"}
	if c.Token == "" {
		e.Next = "check the spelling and the revision; a private one needs `hf auth login` or HF_TOKEN"
	}
	return e
}

// Limits of a list of files.
const (
	mostFiles = 1_000_000
	mostPages = 10_000
)

// nextPage matches the address of the next page in the header Link.
var nextPage = regexp.MustCompile(`<([^<>]+)>\s*;\s*rel="?next"?`)

// Files lists the files of a repository at a commit. A path that would be outside of a folder is a failure.
func (c *Client) Files(ctx context.Context, ref Ref, commit string) ([]Remote, error) {
	of := asked{doing: "list the files of " + ref.String(), name: ref.Name}
	at := fmt.Sprintf("%s/api/datasets/%s/tree/%s?recursive=true&expand=false", c.Endpoint, ref.Name, commit)
	var out []Remote
	for range mostPages {
		next := ""
		err := c.send(ctx, call{asked: of, method: http.MethodGet, url: at}, func(resp *http.Response) error {
			page, err := c.page(resp, of)
			out = append(out, page...)
			if m := nextPage.FindStringSubmatch(strings.Join(resp.Header.Values("Link"), ",")); m != nil {
				next = m[1]
			}
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case len(out) > mostFiles:
			return nil, &Error{What: fmt.Sprintf("cannot %s: there are more than %d", of.doing, mostFiles),
				Next: "it is not a study that llem pushed; check the name"}
		case next == "":
			return out, nil
		}
		if at, err = c.resolve(at, next, of); err != nil {
			return nil, err
		}
	}
	return nil, &Error{What: fmt.Sprintf("cannot %s: the list does not end", of.doing), Next: checkHub}
}

// resolve returns the address of the next page, which must be of the same hub.
func (c *Client) resolve(at, next string, of asked) (string, error) {
	base, err := url.Parse(at)
	if err != nil {
		return "", fmt.Errorf("read the address %s: %w", at, err)
	}
	u, err := base.Parse(next)
	if err != nil || !c.own(u) {
		return "", &Error{What: fmt.Sprintf("cannot %s: the next page would be on another host", of.doing),
			Next: checkHub}
	}
	return u.String(), nil
}

// page reads a page of a list of files.
func (c *Client) page(resp *http.Response, of asked) (out []Remote, err error) {
	var doc []struct {
		Type string `json:"type"`
		Path string `json:"path"`
		OID  string `json:"oid"`
		Size int64  `json:"size"`
		LFS  *struct {
			OID  string `json:"oid"`
			Size int64  `json:"size"`
		} `json:"lfs"`
	}
	if err := c.decode(resp, of, &doc); err != nil {
		return nil, err
	}
	for _, f := range doc {
		if f.Type != "file" {
			continue
		}
		r := Remote{Path: f.Path, Size: f.Size, SHA1: f.OID}
		if f.LFS != nil {
			r.Size, r.SHA256, r.SHA1 = f.LFS.Size, f.LFS.OID, ""
		}
		local := filepath.IsLocal(filepath.FromSlash(r.Path)) && path.Clean(r.Path) == r.Path && r.Path != "." &&
			!strings.ContainsAny(r.Path, "\\\x00")
		hashed := sha256Hash.MatchString(r.SHA256) || r.SHA256 == "" && commitHash.MatchString(r.SHA1)
		if !local || !hashed || r.Size < 0 {
			return nil, &Error{What: fmt.Sprintf("cannot %s: %.80q is not the name, the size and the hash of a file "+
				"in a folder", of.doing, r.Path), Next: "do not trust this repository"}
		}
		out = append(out, r)
	}
	return out, nil
}

// Create makes a repository. One that exists already is not a failure.
func (c *Client) Create(ctx context.Context, name, visibility string) error {
	user, short, _ := strings.Cut(name, "/")
	in := map[string]any{"name": short, "organization": user, "type": "dataset", "visibility": visibility}
	err := c.exchange(ctx, call{asked: asked{"create " + Scheme + name, name, true}, method: http.MethodPost,
		url: c.Endpoint + "/api/repos/create"}, in, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusConflict {
		return nil
	}
	return err
}

// CheckCard has the hub check the head of a card, such as the license in it.
func (c *Client) CheckCard(ctx context.Context, name string, text []byte) error {
	return c.exchange(ctx, call{asked: asked{"use the card for " + Scheme + name, name, true}, method: http.MethodPost,
		url: c.Endpoint + "/api/validate-yaml"}, map[string]any{"content": string(text), "repoType": "dataset"}, nil)
}

// SetVisibility makes a repository public or private.
func (c *Client) SetVisibility(ctx context.Context, name, visibility string) error {
	return c.exchange(ctx, call{asked: asked{"make " + Scheme + name + " " + visibility, name, true},
		method: http.MethodPut, url: c.Endpoint + "/api/datasets/" + name + "/settings"},
		map[string]any{"visibility": visibility}, nil)
}
