package hub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
)

// cache is a folder in the layout of the huggingface_hub client, so that llem and Python engines share downloads:
//
//	models--org--name/blobs/<etag>                 the content
//	models--org--name/snapshots/<commit>/<file>    links to it
//	models--org--name/refs/<branch>                the commit of a branch
type cache struct{ root string }

// cacheDir returns the folder in which that client keeps its files.
func cacheDir() string {
	if d := os.Getenv("HF_HUB_CACHE"); d != "" {
		return d
	}
	return filepath.Join(homeDir(), "hub")
}

func (c cache) folder(id ID) string {
	return "models--" + strings.ReplaceAll(id.Name, "/", "--")
}

func (c cache) repo(id ID) string { return filepath.Join(c.root, c.folder(id)) }

func (c cache) snapshot(id ID, commit string) string {
	return filepath.Join(c.repo(id), "snapshots", commit)
}

func (c cache) blob(id ID, etag string) string {
	return filepath.Join(c.repo(id), "blobs", etag)
}

// lock returns the file that the Python client locks while it downloads a blob.
func (c cache) lock(id ID, etag string) string {
	return filepath.Join(c.root, ".locks", c.folder(id), etag+".lock")
}

// commit resolves the revision from disk; "" if unknown.
func (c cache) commit(id ID) string {
	if commitHash.MatchString(id.Rev) {
		return id.Rev
	}
	b, err := disk.ReadFile(filepath.Join(c.repo(id), "refs", filepath.FromSlash(id.Rev)), disk.MaxSmall)
	if s := strings.TrimSpace(string(b)); err == nil && commitHash.MatchString(s) {
		return s
	}
	return ""
}

// setCommit records the commit of a branch or tag.
func (c cache) setCommit(id ID, commit string) error {
	if id.Rev == commit {
		return nil
	}
	path := filepath.Join(c.repo(id), "refs", filepath.FromSlash(id.Rev))
	if old, err := disk.ReadFile(path, disk.MaxSmall); err == nil && string(old) == commit {
		return nil
	}
	return disk.Replace(path, int64(len(commit)), func(f *os.File) error {
		_, err := f.WriteString(commit)
		return err
	})
}

// complete returns the snapshot on disk if it is complete.
func (c cache) complete(id ID) (dir, commit string, ok bool) {
	commit = c.commit(id)
	if commit == "" {
		return "", "", false
	}
	dir = c.snapshot(id, commit)
	return dir, commit, usableSnapshot(dir, id.File)
}

// usableSnapshot reports whether a folder has all weights and a config.json,
// or a GGUF file.
func usableSnapshot(dir, file string) bool {
	has := func(name string) bool {
		st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		return err == nil && st.Mode().IsRegular() && st.Size() > 0
	}
	if file != "" {
		return has(file)
	}
	if has("config.json") {
		for _, kind := range []string{"model.safetensors", "pytorch_model.bin"} {
			if has(kind) || has(kind+".index.json") && allShards(filepath.Join(dir, kind+".index.json"), has) {
				return true
			}
		}
	}
	g, _ := filepath.Glob(filepath.Join(dir, "*.gguf"))
	return len(g) == 1
}

func allShards(index string, has func(string) bool) bool {
	var doc struct {
		Map map[string]string `json:"weight_map"`
	}
	b, err := disk.ReadFile(index, disk.MaxDocument)
	if err != nil || json.Unmarshal(b, &doc) != nil || len(doc.Map) == 0 {
		return false
	}
	for _, shard := range doc.Map {
		if !filepath.IsLocal(shard) || !has(shard) {
			return false
		}
	}
	return true
}

// heal removes files at places where the cache needs folders. Earlier versions created them for hubs that sent
// ".." or "." as the hash of a file.
func (c cache) heal(id ID) error {
	for _, path := range []string{c.repo(id), filepath.Join(c.repo(id), "blobs")} {
		if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() {
			if err := os.Remove(path); err != nil {
				return disk.WriteError(path, 0, err)
			}
		}
	}
	return nil
}

// regular reports whether there is a file at path, or a link to one.
func regular(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// link puts the blob into the snapshot under the file's name.
func (c cache) link(id ID, commit, name, etag string) error {
	path := filepath.Join(c.snapshot(id, commit), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(path), c.blob(id, etag))
	if err != nil {
		return err
	}
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	_ = os.Remove(path)
	if err := os.Symlink(target, path); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

// Complete returns the folder of the snapshot in the cache if it is complete.
func (h *Client) Complete(id ID) (dir string, ok bool) {
	dir, _, ok = h.cache.complete(id)
	return dir, ok
}

// Cached returns the folder of a revision's snapshot in the cache, complete or not.
func Cached(id ID) (dir string, ok bool) {
	c := cache{cacheDir()}
	commit := c.commit(id)
	if commit == "" {
		return "", false
	}
	return c.snapshot(id, commit), true
}
