package claim

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// server is a file server in memory, with a clock of its own.
type server struct {
	mu    sync.Mutex
	skew  time.Duration // of its clock
	files map[string]*inode
	dirs  map[string]bool
	lost  bool // the reply to the next link is lost: the client sends it again
}

type inode struct {
	text     []byte
	modified time.Time
}

func newServer(skew time.Duration) *server {
	return &server{skew: skew, files: map[string]*inode{}, dirs: map[string]bool{".": true}}
}

func (s *server) now() time.Time { return time.Now().Add(s.skew) }

// client is a machine that caches what the server told it for a time, as NFS clients do.
type client struct {
	*server
	cache  time.Duration
	times  map[string]cached[time.Time]
	listed map[string]cached[[]string]
}

type cached[T any] struct {
	value T
	at    time.Time
}

func (s *server) client(cache time.Duration) *client {
	return &client{s, cache, map[string]cached[time.Time]{}, map[string]cached[[]string]{}}
}

func (c *client) mkdir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirs[name] {
		return fs.ErrExist
	}
	c.dirs[name] = true
	return nil
}

func (c *client) create(name string, text []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(name, &inode{text, c.now()})
}

func (c *client) put(name string, n *inode) error {
	switch {
	case !c.dirs[path.Dir(name)]:
		return fs.ErrNotExist
	case c.files[name] != nil:
		return fs.ErrExist
	}
	c.files[name] = n
	return nil
}

func (c *client) link(from, name string, _ []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.files[from]
	if n == nil {
		return fs.ErrNotExist
	}
	err := c.put(name, n)
	if c.lost {
		c.lost = false
		return c.put(name, n)
	}
	return err
}

func (c *client) touch(name string) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.files[name]
	if n == nil {
		return time.Time{}, fs.ErrNotExist
	}
	n.modified = c.now()
	return n.modified, nil
}

// read has the file's text, and a time that may be as old as the cache allows.
func (c *client) read(name string) ([]byte, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.files[name]
	if n == nil {
		delete(c.times, name)
		return nil, time.Time{}, fs.ErrNotExist
	}
	if t, ok := c.times[name]; !ok || time.Since(t.at) >= c.cache {
		c.times[name] = cached[time.Time]{n.modified, time.Now()}
	}
	return n.text, c.times[name].value, nil
}

// list has names that may be as old as the cache allows.
func (c *client) list(name string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.listed[name]; ok && time.Since(l.at) < c.cache && c.dirs[name] {
		return l.value, nil
	}
	if !c.dirs[name] {
		return nil, fs.ErrNotExist
	}
	var out []string
	for _, all := range []map[string]bool{c.dirs, keys(c.files)} {
		for n := range all {
			if n != "." && path.Dir(n) == name {
				out = append(out, path.Base(n))
			}
		}
	}
	c.listed[name] = cached[[]string]{out, time.Now()}
	return out, nil
}

func keys(m map[string]*inode) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

func (c *client) rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirs[from] {
		return fs.ErrNotExist
	}
	delete(c.dirs, from)
	c.dirs[to] = true
	for _, name := range slices.Collect(maps.Keys(c.files)) {
		if rest, ok := strings.CutPrefix(name, from+"/"); ok {
			c.files[to+"/"+rest] = c.files[name]
			delete(c.files, name)
		}
	}
	return nil
}

func (c *client) remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.files, name)
	delete(c.dirs, name)
	return nil
}
