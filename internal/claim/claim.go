// Package claim shares out pieces of work among processes on any number of machines, by files in one folder that all
// of them see: a local one or one on NFS.
//
// A worker joins the folder under a name ([Join]) and takes one piece of work after another by its key
// ([Worker.Take]); of any number of workers, one gets it. It renews its presence every few seconds. A worker that
// has not renewed it for its whole term is expired, and what it held can be taken by others. It may still be
// there, paused: [Claim.Check] tells it that its claim is gone, before it publishes a result.
//
// The folder has, for each key, a folder with numbered files: KEY/1, KEY/2 and so on. The file with the highest
// number is the claim; each names its worker. A file is created exclusively, by link(2) where the file system has
// hard links, because link is exclusive on every version of NFS and a reply that is lost can be told from a
// failure. To take over an expired claim is to create the next number, which only one process can. A
// claim is released by renaming its folder away, which removes all numbers at once. The presence of a worker is a
// claim on the key @NAME, and its modification time is the last renewal.
//
// Times are of the file server only: a process asks for "now" by touching its own file and reading back the time
// that the server gave it. The clocks of machines are never compared. Attributes may be cached by
// a client for a minute, so a term is several minutes, and files are opened before their times are read, which makes
// a client of NFS ask the server.
package claim

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Times by default: a term covers a cached minute and several lost renewals.
const (
	DefaultBeat = 15 * time.Second
	DefaultTerm = 4 * time.Minute
)

// Options describe a worker.
type Options struct {
	// Name of the worker, unique in the folder; see [ValidName].
	Name string
	// Node identifies its machine, for others that ask.
	Node string
	// Beat is the time between two renewals, and Term the time without a renewal after which the worker is expired;
	// 0 means the default.
	Beat, Term time.Duration
}

// Identity is the content of every file of a worker.
type Identity struct {
	// Worker is its name, and Node its machine.
	Worker string `json:"worker"`
	Node   string `json:"node,omitempty"`
	// Boot identifies the machine under all its containers, until its next boot; empty if unknown.
	Boot string `json:"boot,omitempty"`
	// Token distinguishes it from earlier workers of its name.
	Token string `json:"token"`
	// TermS is the time without a renewal after which it is expired, in seconds.
	TermS float64 `json:"term_s"`
	// Process is its process, for workers of the same machine.
	Process process `json:"process"`
}

// validName matches names of workers: they become names of files.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidName reports whether a worker may have a name.
func ValidName(name string) bool { return validName.MatchString(name) }

// HeldError is the error if another worker holds what is wanted.
type HeldError struct {
	// Key is what is wanted, and By its holder.
	Key string
	By  Identity
	// Left is how long the holder may remain silent until it is expired.
	Left time.Duration
}

// Error names the holder.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is held by the worker %s", e.Key, e.By.Worker)
}

// ErrLost is the error if a claim is no longer the worker's own: it had expired, and another worker took it, or its
// files were removed.
var ErrLost = errors.New("the claim is gone: the worker was silent for longer than its term")

// Worker is a process that takes claims. Its methods may be called from several goroutines.
type Worker struct {
	folder folder
	own    Identity
	text   []byte
	beat   time.Duration

	presence *Claim
	mu       sync.Mutex
	held     map[*Claim]bool
	stop     chan struct{}
	stopped  sync.WaitGroup
}

// Claim is a piece of work that a worker holds.
type Claim struct {
	worker *Worker
	key    string
	number int
	lost   chan struct{} // closed when it is found lost
	once   sync.Once
}

// Join makes a worker of this process. The folder is created if it is missing. A name that a live worker has is a
// [*HeldError]; the presence of an expired worker is taken over.
func Join(dir string, o Options) (*Worker, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	return join(f, o, thisProcess())
}

func join(f folder, o Options, p process) (*Worker, error) {
	if !ValidName(o.Name) {
		return nil, fmt.Errorf("%q is not a name of a worker: it has letters, digits, dots and dashes (64 at most)",
			o.Name)
	}
	if o.Beat == 0 {
		o.Beat = DefaultBeat
	}
	if o.Term == 0 {
		o.Term = DefaultTerm
	}
	w := &Worker{folder: f, beat: o.Beat, held: map[*Claim]bool{},
		own: Identity{Worker: o.Name, Node: o.Node, Boot: boot(), TermS: o.Term.Seconds(), Process: p}}
	if err := w.enter(); err != nil {
		return nil, err
	}
	return w, nil
}

// enter makes the worker present.
func (w *Worker) enter() (err error) {
	w.own.Token, w.presence = rand.Text(), nil
	if w.text, err = json.Marshal(w.own); err != nil {
		return err
	}
	first := w.own.joining()
	if err := w.folder.create(first, w.text); err != nil {
		return fmt.Errorf("join the workers: %w", err)
	}
	defer func() { _ = w.folder.remove(first) }()
	if w.presence, err = w.take(presenceOf(w.own.Worker), first); err != nil {
		return err
	}
	w.stop = make(chan struct{})
	w.stopped.Go(w.renew)
	return nil
}

// Rejoin makes the worker present again if it was taken for dead and its presence removed; its claims are lost. If
// another worker has its name, the error is a [*HeldError].
func (w *Worker) Rejoin() error {
	if !errors.Is(w.presence.check(), ErrLost) {
		return nil
	}
	w.end()
	w.mu.Lock()
	w.held = map[*Claim]bool{}
	w.mu.Unlock()
	return w.enter()
}

// end ends the renewals.
func (w *Worker) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.stopped.Wait()
}

// presenceOf returns the key of the presence of a worker.
func presenceOf(name string) string { return "@" + name }

// Name returns the name of the worker.
func (w *Worker) Name() string { return w.own.Worker }

// Beside reports whether another worker is on the machine of this one, also in another container.
func (w *Worker) Beside(o Identity) bool {
	return w.own.Node != "" && w.own.Node == o.Node || w.own.Boot != "" && w.own.Boot == o.Boot
}

// Take claims a key: a word with letters, digits, dots and dashes. If a live worker holds it, the error is a
// [*HeldError].
func (w *Worker) Take(key string) (*Claim, error) { return w.take(key, w.presence.file()) }

// take creates the next number of a key from an existing file of this worker.
func (w *Worker) take(key, from string) (*Claim, error) {
	for range 100 {
		number, err := w.next(key)
		if err != nil {
			return nil, err
		}
		c := &Claim{worker: w, key: key, number: number, lost: make(chan struct{})}
		err = w.folder.link(from, c.file(), w.text)
		if errors.Is(err, fs.ErrExist) && c.isOwn() {
			err = nil // the reply to the first try was lost
		}
		switch {
		case err == nil:
			w.mu.Lock()
			w.held[c] = true
			w.mu.Unlock()
			return c, nil
		case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist) && w.exists(from):
			continue // another worker was faster, or it was released at this moment
		}
		return nil, fmt.Errorf("claim %s: %w", key, err)
	}
	return nil, fmt.Errorf("claim %s: others take and release it all the time", key)
}

func (w *Worker) exists(file string) bool {
	_, _, err := w.folder.read(file)
	return err == nil
}

// next returns the number with which a key can be taken, or who holds it.
func (w *Worker) next(key string) (int, error) {
	err := w.folder.mkdir(key)
	if err == nil {
		return 1, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("claim %s: %w", key, err)
	}
	top, err := highest(w.folder, key)
	for err == nil {
		var left time.Duration
		id, expired, readErr := w.state(path.Join(key, strconv.Itoa(top)), &left)
		switch {
		case errors.Is(readErr, fs.ErrNotExist):
			return top + 1, nil // none yet, or released at this moment: then its folder is gone
		case readErr != nil:
			return 0, fmt.Errorf("read the claim on %s: %w", key, readErr)
		case !expired:
			return 0, &HeldError{key, id, left}
		}
		// A listing may be old: a file with the next number is decisive.
		if !w.exists(path.Join(key, strconv.Itoa(top+1))) {
			return top + 1, nil
		}
		top++
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil // released at this moment
	}
	return 0, fmt.Errorf("read the claim on %s: %w", key, err)
}

// state reads the holder in a file, and whether it is expired. left is the rest of its term.
func (w *Worker) state(file string, left *time.Duration) (id Identity, expired bool, err error) {
	now, err := w.now()
	if err != nil {
		return id, false, err
	}
	return stateOf(w.folder, file, now, left)
}

// now returns the time of the file server. Before the worker is present, a file of its own tells it.
func (w *Worker) now() (time.Time, error) {
	if w.presence == nil {
		return w.folder.touch(w.own.joining())
	}
	return w.folder.touch(w.presence.file())
}

// stateOf reads the holder in a file: it is expired if it has left, was replaced by a worker of its name, has been
// silent for its term, or was a process of this machine that has ended.
func stateOf(f folder, file string, now time.Time, left *time.Duration) (id Identity, expired bool, err error) {
	text, modified, err := f.read(file)
	if err != nil {
		return id, false, err
	}
	if json.Unmarshal(text, &id) != nil || id.Worker == "" {
		// A file system without hard links: its holder has not yet written it, or never will.
		*left = DefaultTerm - now.Sub(modified)
		return id, *left <= 0, nil
	}
	term := time.Duration(id.TermS * float64(time.Second))
	key := presenceOf(id.Worker)
	top, err := highest(f, key)
	if errors.Is(err, fs.ErrNotExist) {
		return id, true, nil // it has left
	}
	if err != nil {
		return id, false, err
	}
	text, modified, err = f.read(path.Join(key, strconv.Itoa(top)))
	if errors.Is(err, fs.ErrNotExist) {
		return id, true, nil
	}
	if err != nil {
		return id, false, err
	}
	var present Identity
	if json.Unmarshal(text, &present) == nil && present.Worker != "" && present.Token != id.Token {
		return id, true, nil // another one has its name now
	}
	*left = term - now.Sub(modified)
	return id, *left <= 0 || id.Process.ended(), nil
}

// highest returns the highest number of a key, 0 if it has none.
func highest(f folder, key string) (top int, err error) {
	names, err := f.list(key)
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			top = max(top, n)
		}
	}
	return top, err
}

// file is the claim's file.
func (c *Claim) file() string { return path.Join(c.key, strconv.Itoa(c.number)) }

// isOwn reports whether the claim's file is of its worker.
func (c *Claim) isOwn() bool {
	text, _, err := c.worker.folder.read(c.file())
	var id Identity
	return err == nil && json.Unmarshal(text, &id) == nil && id.Token == c.worker.own.Token
}

// Lost returns a channel that is closed when the claim is found lost, at a renewal or a check.
func (c *Claim) Lost() <-chan struct{} { return c.lost }

// Check returns [ErrLost] if the claim is gone, or the worker's presence. Any other error leaves open whether it is.
func (c *Claim) Check() error {
	if err := c.check(); err != nil || c == c.worker.presence {
		return err
	}
	return c.worker.presence.check()
}

func (c *Claim) check() error {
	top, err := highest(c.worker.folder, c.key)
	var text []byte
	if err == nil && top == c.number {
		text, _, err = c.worker.folder.read(c.file())
	}
	var id Identity
	gone := errors.Is(err, fs.ErrNotExist) || err == nil &&
		(top != c.number || json.Unmarshal(text, &id) == nil && id.Token != c.worker.own.Token)
	if gone {
		c.once.Do(func() { close(c.lost) })
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("check the claim on %s: %w", c.key, err)
	}
	return nil
}

// Release gives the claim up: another worker can take it at once. It does nothing to a lost claim.
func (c *Claim) Release() error {
	w := c.worker
	w.mu.Lock()
	delete(w.held, c)
	w.mu.Unlock()
	if err := c.check(); err != nil {
		if errors.Is(err, ErrLost) {
			return nil
		}
		return err
	}
	gone := ".gone-" + rand.Text()
	if err := w.folder.rename(c.key, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release %s: %w", c.key, err)
	}
	empty(w.folder, gone)
	return nil
}

// empty removes a folder of numbers. What cannot be removed is in nobody's way.
func empty(f folder, name string) {
	names, _ := f.list(name)
	for _, n := range names {
		_ = f.remove(path.Join(name, n))
	}
	_ = f.remove(name)
}

// Leave releases all claims and ends the worker's presence.
func (w *Worker) Leave() error {
	w.end()
	if w.presence == nil {
		return nil // its name was taken
	}
	w.mu.Lock()
	held := slices.Collect(maps.Keys(w.held))
	w.mu.Unlock()
	var errs []error
	for _, c := range held {
		if c != w.presence {
			errs = append(errs, c.Release())
		}
	}
	return errors.Join(append(errs, w.presence.Release())...)
}

// renew renews the presence until the worker leaves.
func (w *Worker) renew() {
	tick := time.NewTicker(w.beat)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.renewOnce()
		}
	}
}

// renewOnce looks for lost claims, and renews the presence if it is still the worker's. A server that does not
// answer is asked again at the next time.
func (w *Worker) renewOnce() {
	w.mu.Lock()
	held := slices.Collect(maps.Keys(w.held))
	w.mu.Unlock()
	for _, c := range held {
		_ = c.check()
	}
	if w.presence.check() == nil {
		_, _ = w.folder.touch(w.presence.file())
	}
}

// Seen returns when a worker of a folder last renewed its presence, by the file server's clock; false if it has left.
func Seen(dir, name string) (time.Time, bool) {
	f := osFolder(dir)
	top, err := highest(f, presenceOf(name))
	if err != nil || top == 0 {
		return time.Time{}, false
	}
	_, modified, err := f.read(path.Join(presenceOf(name), strconv.Itoa(top)))
	return modified, err == nil
}

// Now returns the time of the file server.
func (w *Worker) Now() (time.Time, error) { return w.now() }

// Members lists the live workers of a folder, without joining it. There are none if there is no such folder.
func Members(dir string) ([]Identity, error) {
	f, err := existingFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	probe := ".probe-" + rand.Text()
	return members(f, func() (time.Time, error) {
		if err := f.create(probe, nil); err != nil && !errors.Is(err, fs.ErrExist) {
			return time.Time{}, err
		}
		defer func() { _ = f.remove(probe) }()
		return f.touch(probe)
	})
}

// Members lists the live workers, this one included.
func (w *Worker) Members() ([]Identity, error) { return members(w.folder, w.now) }

func members(f folder, clock func() (time.Time, error)) ([]Identity, error) {
	names, err := f.list(".")
	if err != nil {
		return nil, fmt.Errorf("list the workers: %w", err)
	}
	var out []Identity
	var now time.Time
	for _, name := range names {
		if !strings.HasPrefix(name, "@") {
			continue
		}
		if now.IsZero() {
			if now, err = clock(); err != nil {
				return nil, fmt.Errorf("list the workers: %w", err)
			}
		}
		top, err := highest(f, name)
		if err != nil || top == 0 {
			continue // it is leaving
		}
		var left time.Duration
		if id, expired, err := stateOf(f, path.Join(name, strconv.Itoa(top)), now, &left); err == nil && !expired {
			out = append(out, id)
		}
	}
	return out, nil
}

// Sweep removes what expired workers have left, and nothing of a live one.
func (w *Worker) Sweep() error {
	names, err := w.folder.list(".")
	if err != nil {
		return fmt.Errorf("list the claims: %w", err)
	}
	now, err := w.now()
	if err != nil {
		return fmt.Errorf("list the claims: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".gone-") {
			empty(w.folder, name)
			continue
		}
		if strings.HasPrefix(name, ".") {
			// A worker was killed while it joined: its file may be empty, but has its process in the name.
			if _, modified, err := w.folder.read(name); err == nil && (now.Sub(modified) > DefaultTerm ||
				joiner(name).ended()) {
				_ = w.folder.remove(name)
			}
			continue
		}
		if name == w.presence.key {
			continue
		}
		if c, err := w.Take(name); err == nil { // it is expired or empty
			if err := c.Release(); err != nil {
				return err
			}
		}
	}
	return nil
}
