package share

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Change is what one commit does.
type Change struct {
	// Name of the repository.
	Name string
	// Parent is the commit on which the change is based; the hub refuses it if there is another one meanwhile.
	Parent string
	// Summary and Description are the message of the commit.
	Summary, Description string
	// Add are files to write, hashed; Delete are paths to remove.
	Add    []*File
	Delete []string
	// Progress, if set, is told how many bytes of large files were sent, of how many that the storage lacks.
	Progress func(sent, total int64)
}

// Sizes of requests, as the huggingface_hub client has them.
const (
	preuploadFiles = 256
	batchObjects   = 100
	sampleBytes    = 512
)

// parallel is how many files are transferred at a time.
const parallel = 4

// Push sends what the storage lacks, then commits everything at once. It returns the commit.
func (c *Client) Push(ctx context.Context, ch Change) (commit string, err error) {
	large, ignored, err := c.preupload(ctx, ch)
	if err != nil {
		return "", err
	}
	if err := c.store(ctx, ch, large); err != nil {
		return "", err
	}
	return c.commit(ctx, ch, large, ignored)
}

// preupload asks which files go to the storage of large files. The hub leaves out files that a .gitignore of the
// repository names.
func (c *Client) preupload(ctx context.Context, ch Change) (large, ignored map[string]bool, err error) {
	type wanted struct {
		Path   string `json:"path"`
		Sample string `json:"sample"`
		Size   int64  `json:"size"`
	}
	var answer struct {
		Files []struct {
			Path   string `json:"path"`
			Mode   string `json:"uploadMode"`
			Ignore bool   `json:"shouldIgnore"`
		} `json:"files"`
	}
	large, ignored = map[string]bool{}, map[string]bool{}
	of := asked{"announce the files for " + Scheme + ch.Name, ch.Name, true}
	for part := range slices.Chunk(ch.Add, preuploadFiles) {
		in := struct {
			Files []wanted `json:"files"`
		}{}
		for _, f := range part {
			sample, err := f.sample()
			if err != nil {
				return nil, nil, err
			}
			in.Files = append(in.Files, wanted{f.Path, base64.StdEncoding.EncodeToString(sample), f.Size})
		}
		answer.Files = nil
		err := c.exchange(ctx, call{asked: of, method: http.MethodPost,
			url: c.Endpoint + "/api/datasets/" + ch.Name + "/preupload/" + Main}, in, &answer)
		if err != nil {
			return nil, nil, err
		}
		known := map[string]bool{}
		for _, f := range answer.Files {
			known[f.Path], large[f.Path], ignored[f.Path] = true, f.Mode == "lfs", f.Ignore
		}
		for _, f := range part {
			if !known[f.Path] {
				return nil, nil, &Error{What: fmt.Sprintf("cannot %s: %s does not answer for %s", of.doing, c.Endpoint,
					f.Path), Next: checkHub}
			}
			large[f.Path] = large[f.Path] && f.Size > 0 // the storage refuses empty files
		}
	}
	return large, ignored, nil
}

// sample returns the first bytes of the file.
func (f *File) sample() ([]byte, error) {
	in, err := f.open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, sampleBytes))
}

// action is an upload that the storage asks for.
type action struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

// stored is what the storage says about a file.
type stored struct {
	OID     string             `json:"oid"`
	Actions map[string]*action `json:"actions"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// upload is a file that the storage lacks.
type upload struct {
	file        *File
	put, verify *action
}

// store sends the large files that the storage lacks.
func (c *Client) store(ctx context.Context, ch Change, large map[string]bool) error {
	var all []*File
	seen := map[string]bool{}
	for _, f := range ch.Add {
		if large[f.Path] && !seen[f.SHA256] {
			seen[f.SHA256] = true
			all = append(all, f)
		}
	}
	var todo []upload
	for part := range slices.Chunk(all, batchObjects) {
		some, err := c.batch(ctx, ch.Name, part)
		if err != nil {
			return err
		}
		todo = append(todo, some...)
	}
	var total int64
	for _, u := range todo {
		total += u.file.Size
	}
	var mu sync.Mutex
	var sent int64
	moved := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		sent += n
		if ch.Progress != nil {
			ch.Progress(sent, total)
		}
	}
	return each(ctx, todo, func(ctx context.Context, u upload) error { return c.upload(ctx, ch.Name, u, moved) })
}

// batch asks for the addresses to which files are sent; files that the storage has are left out.
func (c *Client) batch(ctx context.Context, name string, files []*File) (todo []upload, err error) {
	type object struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	}
	in := map[string]any{"operation": "upload", "transfers": []string{"basic"}, "hash_algo": "sha256",
		"ref": map[string]string{"name": Main}}
	var objects []object
	for _, f := range files {
		objects = append(objects, object{f.SHA256, f.Size})
	}
	in["objects"] = objects
	var answer struct {
		Objects []stored `json:"objects"`
	}
	of := asked{"send large files to " + Scheme + name, name, true}
	err = c.exchange(ctx, call{asked: of, method: http.MethodPost, kind: lfsJSON,
		url: c.Endpoint + "/datasets/" + name + ".git/info/lfs/objects/batch"}, in, &answer)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		i := slices.IndexFunc(answer.Objects, func(o stored) bool { return o.OID == f.SHA256 })
		if i < 0 {
			return nil, &Error{What: fmt.Sprintf("cannot %s: the storage does not answer for %s", of.doing, f.Path),
				Next: checkHub}
		}
		o := answer.Objects[i]
		if o.Error != nil {
			e := &Error{Status: o.Error.Code,
				What: fmt.Sprintf("cannot send %s to %s: %.200s", f.Path, Scheme+name, o.Error.Message)}
			e.Next, _ = c.next(o.Error.Code, of, false)
			return nil, e
		}
		if put := o.Actions["upload"]; put != nil {
			todo = append(todo, upload{f, put, o.Actions["verify"]})
		}
	}
	return todo, nil
}

// upload sends one large file and has the hub verify it.
func (c *Client) upload(ctx context.Context, name string, u upload, moved func(int64)) error {
	of := asked{fmt.Sprintf("send %s to %s", u.file.Path, Scheme+name), name, true}
	for _, a := range []*action{u.put, u.verify} {
		if a == nil {
			continue
		}
		if at, err := url.Parse(a.Href); err != nil || at.Scheme != "https" && (at.Scheme != "http" || !c.insecure()) {
			return &Error{What: fmt.Sprintf("cannot %s: the storage is not at an https address", of.doing),
				Next: checkHub}
		}
		if a.Header["chunk_size"] != "" {
			return &Error{What: fmt.Sprintf("cannot %s: %s is too large to be sent in one part", of.doing,
				digits.Bytes(u.file.Size)), Next: "send the folder with `hf upload`"}
		}
	}
	last := &tally{moved: moved}
	err := c.send(ctx, call{asked: of, method: http.MethodPut, url: u.put.Href, size: u.file.Size, header: u.put.Header,
		body: func() (io.ReadCloser, error) {
			last.undo() // of an attempt that was cut
			last = &tally{moved: moved}
			return u.file.body(last.add)
		}}, nil)
	if err != nil || u.verify == nil {
		return err
	}
	in := map[string]any{"oid": u.file.SHA256, "size": u.file.Size}
	return c.exchange(ctx, call{asked: of, method: http.MethodPost, url: u.verify.Href, header: u.verify.Header}, in,
		nil)
}

// tally counts what one attempt sends. The transport may still read after an attempt has failed, which does not count.
type tally struct {
	mu    sync.Mutex
	n     int64
	over  bool
	moved func(int64)
}

func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.n += n
		t.moved(n)
	}
}

// undo takes back what was counted.
func (t *tally) undo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.moved(-t.n)
}

// insecure reports whether the hub itself is at an http address, such as one for tests.
func (c *Client) insecure() bool {
	u, err := url.Parse(c.Endpoint)
	return err == nil && u.Scheme == "http"
}

// commit makes the change visible, as a whole.
func (c *Client) commit(ctx context.Context, ch Change, large, ignored map[string]bool) (string, error) {
	of := asked{"commit to " + Scheme + ch.Name, ch.Name, true}
	var size int64
	err := writeCommit(writerFunc(func(p []byte) (int, error) {
		size += int64(len(p))
		return len(p), nil
	}), ch, large, ignored)
	if err != nil {
		return "", err
	}
	var answer struct {
		Commit string `json:"commitOid"`
	}
	r := call{asked: of, method: http.MethodPost, kind: ndjson, size: size,
		url: c.Endpoint + "/api/datasets/" + ch.Name + "/commit/" + Main,
		body: func() (io.ReadCloser, error) {
			out, in := io.Pipe()
			go func() { in.CloseWithError(writeCommit(in, ch, large, ignored)) }() // ends when out is closed
			return out, nil
		}}
	err = c.send(ctx, r, func(resp *http.Response) error { return c.decode(resp, of, &answer) })
	if err == nil && commitHash.MatchString(answer.Commit) {
		return answer.Commit, nil
	}
	if ctx.Err() != nil {
		return "", err
	}
	// The answer may have been lost after the hub made the commit.
	if done, doneErr := c.committed(ctx, ch, ignored); doneErr == nil && done != "" {
		return done, nil
	}
	if err == nil {
		err = &Error{What: fmt.Sprintf("cannot %s: %s names no commit", of.doing, c.Endpoint), Next: checkHub}
	}
	return "", err
}

// committed returns the newest commit if the repository is as the change leaves it, and otherwise nothing.
func (c *Client) committed(ctx context.Context, ch Change, ignored map[string]bool) (string, error) {
	ref := Ref{ch.Name, Main}
	info, err := c.Info(ctx, ref)
	if err != nil || info == nil || info.Commit == ch.Parent {
		return "", err
	}
	files, err := c.Files(ctx, ref, info.Commit)
	if err != nil {
		return "", err
	}
	there := map[string]Remote{}
	for _, f := range files {
		there[f.Path] = f
	}
	for _, f := range ch.Add {
		if !ignored[f.Path] && !f.Same(there[f.Path]) {
			return "", nil
		}
	}
	for _, p := range ch.Delete {
		if _, still := there[p]; still {
			return "", nil
		}
	}
	return info.Commit, nil
}

// writerFunc is a function as a writer.
type writerFunc func(p []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// writeCommit writes a commit as lines of JSON.
func writeCommit(w io.Writer, ch Change, large, ignored map[string]bool) error {
	out := bufio.NewWriterSize(w, 1<<16)
	line := func(key string, value any) error {
		text, err := json.Marshal(map[string]any{"key": key, "value": value})
		if err != nil {
			return fmt.Errorf("encode a commit: %w", err)
		}
		_, err = out.Write(append(text, '\n'))
		return err
	}
	header := map[string]string{"summary": ch.Summary, "description": ch.Description}
	if ch.Parent != "" {
		header["parentCommit"] = ch.Parent
	}
	if err := line("header", header); err != nil {
		return err
	}
	for _, f := range ch.Add {
		var err error
		switch {
		case ignored[f.Path]:
		case large[f.Path]:
			err = line("lfsFile", map[string]any{"path": f.Path, "algo": "sha256", "oid": f.SHA256, "size": f.Size})
		default:
			err = writeInline(out, f)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range ch.Delete {
		if err := line("deletedFile", map[string]string{"path": p}); err != nil {
			return err
		}
	}
	return out.Flush()
}

// writeInline writes a small file as a line of a commit, without holding it in memory.
func writeInline(out *bufio.Writer, f *File) error {
	name, err := json.Marshal(f.Path)
	if err != nil {
		return fmt.Errorf("encode a commit: %w", err)
	}
	in, err := f.body(nil)
	if err != nil {
		return err
	}
	defer in.Close()
	fmt.Fprintf(out, `{"key":"file","value":{"path":%s,"encoding":"base64","content":"`, name)
	encoder := base64.NewEncoder(base64.StdEncoding, out)
	if _, err := io.Copy(encoder, in); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	_, err = out.WriteString("\"}}\n")
	return err
}

// each calls a function with every item, a few at a time, until one fails.
func each[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan T)
	var all sync.WaitGroup
	for range min(parallel, len(items)) {
		all.Go(func() {
			for item := range next {
				if err := do(ctx, item); err != nil {
					stop(err)
				}
			}
		})
	}
feed:
	for _, item := range items {
		select {
		case next <- item:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	all.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err()
}
