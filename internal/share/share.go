// Package share exchanges folders with repositories of data sets on a Hugging Face hub: it lists, uploads and downloads
// them. The protocol is the huggingface_hub client's:
//
//	Info      GET  /api/datasets/NAME/revision/REV         is it there, private, at which commit
//	Files     GET  /api/datasets/NAME/tree/COMMIT          paths, sizes and hashes, in pages
//	Create    POST /api/repos/create
//	Push      POST /api/datasets/NAME/preupload/main       which files go to the storage of large files
//	          POST /datasets/NAME.git/info/lfs/objects/batch, then PUT and verify for what the storage lacks
//	          POST /api/datasets/NAME/commit/main          one commit with everything
//	Download  GET  /datasets/NAME/resolve/COMMIT/PATH      continued where it was cut
//
// Nothing is visible in a repository before the commit, and files that the hub has are not sent again: a push that was
// interrupted is repeated. Each failure is an [*Error] with the next step.
package share

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/secret"
)

// Scheme begins the name of a repository on a command line.
const Scheme = "hf:"

// Ref names a repository of a data set, and a revision of it.
type Ref struct {
	// Name is USER/NAME.
	Name string
	// Rev is a branch, a tag or a commit.
	Rev string
}

// Main is the branch that a repository has from the start.
const Main = "main"

var (
	refPattern = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w][\w./-]*))?$`)
	commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256Hash = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// mostName is the maximum length of a repository's name on the hub.
const mostName = 96

// ParseRef reads hf:USER/NAME or hf:USER/NAME@REVISION.
func ParseRef(text string) (Ref, error) {
	const example = "name it as " + Scheme + "USER/NAME, such as " + Scheme + "alice/energy-of-batches"
	name := strings.TrimPrefix(text, Scheme)
	m := refPattern.FindStringSubmatch(name)
	bad := ""
	switch {
	case name == text:
		bad = "it does not begin with " + Scheme
	case m == nil && strings.Contains(name, "://"):
		bad = "it is an address, not a name"
	case m == nil && !strings.Contains(name, "/"):
		bad = "the user or the organisation is missing"
	case m == nil && strings.Count(name, "/") > 1:
		bad = "a name has one slash"
	case m == nil:
		bad = "names have letters, digits, and . _ - within"
	case len(m[1]) > mostName:
		bad = "names have at most 96 characters"
	case strings.Contains(name, "--"), strings.Contains(name, ".."):
		bad = "the hub forbids -- and .. in names"
	case strings.HasSuffix(m[1], ".git"), strings.HasSuffix(m[1], "."), strings.HasSuffix(m[1], "-"):
		bad = "the hub forbids names that end in .git, . or -"
	default:
		return Ref{m[1], cmp.Or(m[2], Main)}, nil
	}
	return Ref{}, &Error{What: text + " is not the name of a repository on the hub: " + bad, Next: example, Usage: true}
}

// String returns the name as it is written on a command line.
func (r Ref) String() string {
	if r.Rev == "" || r.Rev == Main {
		return Scheme + r.Name
	}
	return Scheme + r.Name + "@" + r.Rev
}

// Client talks to a hub.
type Client struct {
	// Endpoint is its address, without a slash at the end.
	Endpoint string
	// plain reports that it is any address, and not of a hub.
	plain bool
	// Token is sent to the endpoint only; TokenFrom is the variable or the file that it is from.
	Token, TokenFrom string
	// Note, if set, is told what the client waits for.
	Note func(text string)

	// http is for requests that are answered soon, slow for a commit.
	http, slow *http.Client
	// wait sleeps between attempts.
	wait func(context.Context, time.Duration) error
	// stall is how long nothing may be sent or received.
	stall time.Duration
}

// The longest times until an answer begins. The hub needs a while for a commit of many files.
const (
	answerWithin = time.Minute
	commitWithin = 10 * time.Minute
)

// New returns a client of the user's hub with the user's token.
func New() *Client {
	c := &Client{Endpoint: hub.Endpoint(), http: hub.HTTP(answerWithin), slow: hub.HTTP(commitWithin),
		wait: clock.Sleep, stall: time.Minute}
	c.Token, c.TokenFrom = hub.Token()
	return c
}

// Page returns the address of a repository for a browser.
func (c *Client) Page(name string) string { return c.Endpoint + "/datasets/" + name }

// note reports what the client waits for.
func (c *Client) note(text string) {
	if c.Note != nil {
		c.Note(secret.Text(text))
	}
}
