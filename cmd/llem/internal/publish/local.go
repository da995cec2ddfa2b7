package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"net/url"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/share"
)

// mostToJudge is how much is downloaded to be judged and deleted again, in bytes.
const mostToJudge = 16 << 30

// Local returns a study as a folder or an archive of this machine, and a function that deletes what was downloaded for
// it: hf:USER/NAME and https://HOST/FILE.zip are downloaded, anything else is a path already.
func (c Command) Local(ctx context.Context, name string) (at string, remove func(), err error) {
	remote := strings.HasPrefix(name, share.Scheme)
	address := strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
	if !remote && !address {
		return name, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "llem-verify-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // only a copy
	if remote {
		at, err = c.repository(ctx, name, dir)
	} else {
		at, err = c.archive(ctx, name, dir)
	}
	if err != nil {
		remove()
		return "", nil, mistakes(err)
	}
	return at, remove, nil
}

// repository downloads a study from the hub.
func (c Command) repository(ctx context.Context, name, dir string) (string, error) {
	ref, err := share.ParseRef(name)
	if err != nil {
		return "", err
	}
	client := c.client()
	found, err := Look(ctx, client, ref)
	if err != nil {
		return "", err
	}
	if found.Bytes > mostToJudge {
		return "", &share.Error{What: fmt.Sprintf("%s has %s, and at most %s are downloaded to be judged", ref,
			digits.Bytes(found.Bytes), digits.Bytes(mostToJudge)),
			Next: "fetch it with `llem pull " + ref.String() + "`, and give the folder"}
	}
	_, short, _ := strings.Cut(ref.Name, "/")
	to := filepath.Join(dir, short)
	if err := os.Mkdir(to, 0o700); err != nil {
		return "", err
	}
	meter := c.meter("fetched")
	found.Dir, found.Progress = to, meter.show
	err = client.Download(ctx, found.Fetch)
	meter.end()
	return to, err
}

// starts are the first bytes of archives, by the end of the name that tells their kind.
var starts = map[string][]byte{".zip": []byte("PK\x03\x04"), ".tar.gz": {0x1f, 0x8b}}

// archive downloads an archive. Its kind is in its first bytes: addresses do not always end in the name of a file.
func (c Command) archive(ctx context.Context, address, dir string) (string, error) {
	at := filepath.Join(dir, "download")
	meter := c.meter("fetched")
	err := share.Get(ctx, address, at, mostToJudge, meter.show)
	meter.end()
	if err != nil {
		return "", err
	}
	in, err := disk.Open(at, disk.Unbounded)
	if err != nil {
		return "", err
	}
	start := make([]byte, 512)
	n, err := io.ReadFull(in, start)
	in.Close()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", disk.Problem("read", at, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("read the address %s: %w", address, err)
	}
	for end, begins := range starts {
		if bytes.HasPrefix(start[:n], begins) {
			name := strings.TrimRight(path.Base(u.Path), "./")
			for _, known := range []string{".zip", ".tar.gz", ".tgz"} {
				name = strings.TrimSuffix(name, known)
			}
			to := filepath.Join(dir, disk.SafeName(name, "archive")+end)
			return to, os.Rename(at, to)
		}
	}
	what := "it is not a .zip or .tar.gz"
	if bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(start[:n])), []byte("<")) {
		what = "it is a web page"
	}
	return "", &Error{u.Redacted() + ": " + what, "give the address of the archive itself, as a browser downloads it"}
}
