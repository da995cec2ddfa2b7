package web

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// maxLine is the size of the longest line of a journal that is followed, in bytes.
const maxLine = 4 << 20

// run is a finished run, as an event.
type run struct {
	// N counts the lines of all journals, from 1.
	N int `json:"n"`
	// The run is a line of a journal; at is the id of its event.
	journal string
	line    int
	at      string
	// ID and Cycle name the run; Label is the name of its configuration.
	ID    string `json:"id"`
	Cycle int    `json:"cycle"`
	Label string `json:"label"`
	// Status is the outcome, and Message why the run failed.
	Status  result.Status `json:"status"`
	Message string        `json:"message,omitempty"`
	// Metric is the name of the number that is shown for the run, Value the number in the unit of the metric, null if
	// unknown, and Text the number for people with its origin, if that is not a sensor.
	Metric string   `json:"metric,omitempty"`
	Value  *float64 `json:"value"`
	Text   string   `json:"text"`
	// TookS is the duration of the run in seconds, and At is when it finished.
	TookS float64   `json:"took_s"`
	At    time.Time `json:"at"`
}

// progress is how far a study is, as an event without an id.
type progress struct {
	// Done and Planned are numbers of runs; Planned is 0 if unknown.
	Done    int `json:"done"`
	Planned int `json:"planned"`
	// LeftS estimates the rest in seconds, from the mean duration of a run; null if unknown.
	LeftS *float64 `json:"left_s"`
	// Ended reports whether the study is complete.
	Ended bool `json:"ended"`
}

// tail reads the complete lines of a study's journals as they are appended: one of each worker.
type tail struct {
	root *os.Root
	// offset is the first byte of each journal that was not read, and lines the number of lines before it.
	offset map[string]int64
	lines  position
	total  int // lines of all journals
	// known are the lines that the client had before.
	known position
	made  map[store.RunKey]bool
	tookS float64 // of all lines
	names func(id string) string
	// until is the metric of the study's goal, and goal its half width; empty and 0 without a goal.
	until string
	goal  float64
	// order are the configurations with runs in the order of their first ones, and by them by id.
	order []*narrowing
	by    map[string]*narrowing
}

// newTail follows the journal of a study in an open folder.
func (st *study) newTail(root *os.Root) (t *tail, planned int) {
	t = &tail{root: root, offset: map[string]int64{}, lines: position{}, made: map[store.RunKey]bool{},
		by: map[string]*narrowing{}}
	labels := map[string]string{}
	t.names = func(id string) string { return labels[id] }
	if st.contained() != nil {
		return t, 0
	}
	s, _, err := store.ReadFrozen(st.path)
	if err != nil {
		return t, 0
	}
	of := naming.Of(s.Experiments)
	for _, e := range s.Experiments {
		labels[e.ID()] = of.Label(e)
	}
	t.until = s.Execution.Until.Metric
	if s.Execution.Until.MaxCycles > s.Execution.Cycles {
		t.goal = s.Execution.Until.RelativeHalfWidth
	}
	return t, len(s.Experiments) * s.Execution.Cycles
}

// errShorter: the journal has less than was read of it, as after a repair.
var errShorter = errors.New("the journal is shorter than it was")

// next returns the runs of the lines that were added, the earliest first. Lines of one journal keep their order.
func (t *tail) next() ([]run, error) {
	var added [][]store.Entry
	var names []string
	for _, name := range journals(t.root.FS()) {
		list, err := t.read(name)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			added, names = append(added, list), append(names, name)
		}
	}
	var out []run
	for len(added) > 0 {
		first := 0
		for i := range added {
			if added[i][0].At.Before(added[first][0].At) {
				first = i
			}
		}
		t.lines[names[first]]++
		t.total++
		if e := added[first][0]; e.ID != "" { // not a damaged line; llem report names it
			out = append(out, t.run(names[first], e))
		}
		if added[first] = added[first][1:]; len(added[first]) == 0 {
			added, names = slices.Delete(added, first, first+1), slices.Delete(names, first, first+1)
		}
	}
	return out, nil
}

// read returns the lines that were added to a journal; a damaged one is empty.
func (t *tail) read(name string) (out []store.Entry, err error) {
	f, err := openFile(t.root, name)
	if err != nil {
		return nil, nil // not yet written
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Size() < t.offset[name]:
		return nil, errShorter
	}
	br := bufio.NewReaderSize(io.NewSectionReader(f, t.offset[name], info.Size()-t.offset[name]), 1<<16)
	for {
		line, err := br.ReadBytes('\n')
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("line %d of %s is too long", t.lines[name]+len(out)+1, name)
		case err != nil:
			return out, nil // the rest is being written
		}
		t.offset[name] += int64(len(line))
		var e store.Entry
		if json.Unmarshal(line, &e) != nil {
			e = store.Entry{}
		}
		out = append(out, e)
	}
}

// journalName matches the journal of a study, and the journals of its workers if there are several.
var journalName = regexp.MustCompile(`^journal(?:-[A-Za-z0-9._-]+)?\.jsonl$`)

// journals lists the journals in the folder of a study.
func journals(folder fs.FS) (names []string) {
	list, _ := fs.ReadDir(folder, ".") // what cannot be read is not shown
	for _, e := range list {
		if e.Type().IsRegular() && journalName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// position is a number of lines of each journal, by its name. As the id of an event it is the number for the study's
// own journal, and NAME:NUMBER for others, separated by commas.
type position map[string]int

// String returns the id of an event.
func (p position) String() string {
	parts := []string{strconv.Itoa(p[store.JournalFile])}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != store.JournalFile {
			parts = append(parts, name+":"+strconv.Itoa(p[name]))
		}
	}
	return strings.Join(parts, ",")
}

// parsePosition reads the id of an event; nil if it is none.
func parsePosition(text string) position {
	out := position{}
	for i, part := range strings.Split(text, ",") {
		name, number, ok := strings.Cut(part, ":")
		if i == 0 && !ok {
			name, number = store.JournalFile, part
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || !journalName.MatchString(name) {
			return nil
		}
		out[name] = n
	}
	return out
}

// and returns the larger number of each journal.
func (p position) and(q position) position {
	out := maps.Clone(p)
	for name, n := range q {
		out[name] = max(out[name], n)
	}
	return out
}

// within reports whether all lines of p were read.
func (p position) within(read position) bool {
	for name, n := range p {
		if n > read[name] {
			return false
		}
	}
	return true
}

// run turns a line into an event.
func (t *tail) run(journal string, e store.Entry) run {
	if e.Status != result.Interrupted {
		t.made[store.RunKey{ID: e.ID, Cycle: e.Cycle}] = true
	}
	t.tookS += e.TookS
	m := running.Shown(t.until, e.Row)
	n := t.by[e.ID]
	if n == nil {
		n = &narrowing{id: e.ID, values: map[int]float64{}}
		t.by[e.ID], t.order = n, append(t.order, n)
	}
	n.add(e.Cycle, t.total, m)
	if e.Status == result.Failed {
		n.failed++
	}
	out := run{N: t.total, journal: journal, line: t.lines[journal], at: t.lines.and(t.known).String(),
		ID: e.ID, Cycle: e.Cycle,
		Label: t.names(e.ID), Status: e.Status, Message: e.Message,
		Metric: m.Name, TookS: e.TookS, At: e.At, Text: "–"}
	if m.Name != "" {
		out.Value, out.Text = &m.Value, view.Value(m.Value, m.Unit)
		if m.Origin != "" {
			out.Text += ", " + m.Origin
		}
	}
	return out
}

// progress returns how far the study is.
func (t *tail) progress(planned int, ended bool) progress {
	p := progress{Done: len(t.made), Planned: planned, Ended: ended}
	if t.total > 0 && t.tookS > 0 && planned >= p.Done {
		left := t.tookS / float64(t.total) * float64(planned-p.Done)
		p.LeftS = &left
	}
	return p
}

// events sends what a study does ("now"), how far it is ("progress"), its intervals ("intervals") and its finished
// runs ("run") as they are written. An event of a run is a line of a journal, and its id is how far the journals were
// read: a client that comes back with the id of the last event that it got receives the lines after it, each once.
// The others come in full on each connection.
func (s *Server) events(w http.ResponseWriter, r *http.Request, st *study) {
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections follow studies", http.StatusServiceUnavailable)
		return
	}
	root, err := st.open()
	if err != nil {
		http.Error(w, errPath.Error(), http.StatusNotFound)
		return
	}
	defer func() { _ = root.Close() }()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return
	}
	t, planned := st.newTail(root)
	s.follow(r, &stream{w: w}, st, t, planned)
}

// follow sends events until the study is complete, the client leaves or the server ends.
func (s *Server) follow(r *http.Request, to *stream, st *study, t *tail, planned int) {
	from := lastEvent(r)
	t.known = from
	poll := time.NewTicker(s.o.Poll)
	defer poll.Stop()
	beat := time.NewTicker(s.o.Heartbeat)
	defer beat.Stop()
	to.printf("retry: %d\n\n", retry.Milliseconds())
	var shown string // the newest event "now"
	ending := s.ending
	for first, last := true, false; ; first = false {
		runs, err := t.next()
		if err != nil || first && !from.within(t.lines) {
			to.send("reset", "", struct{}{}) // the page is loaded again
			return
		}
		for _, one := range runs {
			if one.line > from[one.journal] {
				to.send("run", one.at, one)
			}
		}
		doing := s.nowOf(st)
		if first || len(runs) > 0 || doing.Complete {
			to.send("progress", "", t.progress(planned, doing.Complete))
			s.sendFragment(to, "intervals", happening{}, t.intervals())
		}
		shown = s.sendNow(to, doing, shown)
		if to.flush() != nil || doing.Complete || last {
			return
		}
		select {
		case <-poll.C:
		case <-beat.C:
			to.send("beat", "", struct{}{})
		case <-r.Context().Done():
			return
		case <-ending: // what is known now is the last that the client gets
			ending, last = nil, true
		}
	}
}

// retry is how long a client waits before it connects again.
const retry = time.Second

// happening is an event whose content a page shows as it is: everything in it is escaped here.
type happening struct {
	// Text and Class say whether the study runs.
	Text  string `json:"text,omitempty"`
	Class string `json:"class,omitempty"`
	HTML  string `json:"html"`
}

// sendNow sends what a study does, if that has changed, and returns what is shown.
func (s *Server) sendNow(to *stream, doing now, shown string) string {
	h := happening{Text: doing.Text, Class: doing.Class}
	text, err := s.fragment("workers", doing)
	if err != nil {
		to.err = err
		return shown
	}
	if now := h.Text + h.Class + text; now == shown {
		return shown
	}
	h.HTML = text
	to.send("now", "", h)
	return h.Text + h.Class + text
}

// sendFragment sends a part of the page.
func (s *Server) sendFragment(to *stream, name string, h happening, data any) {
	text, err := s.fragment(name, data)
	if err != nil {
		to.err = err
		return
	}
	h.HTML = text
	to.send(name, "", h)
}

// lastEvent returns the lines that a client knows.
func lastEvent(r *http.Request) position {
	for _, text := range []string{r.Header.Get("Last-Event-ID"), r.URL.Query().Get("from")} {
		if p := parsePosition(text); p != nil {
			return p
		}
	}
	return nil
}

// ended reports whether a study is complete: its summary says so, and is not older than its journal.
func (s *Server) ended(st *study) bool {
	at := st.state()
	if at.summary.size == 0 || at.summary.modified.Before(at.journal.modified) {
		return false
	}
	res, _ := s.library.head(st)
	return res != nil && res.Complete
}

// stream writes events of a server (text/event-stream).
type stream struct {
	w   http.ResponseWriter
	err error
}

// send writes an event; id is empty for an event that changes nothing about where a client continues.
func (s *stream) send(kind, id string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.err = err
		return
	}
	if id != "" {
		s.printf("id: %s\n", id)
	}
	s.printf("event: %s\ndata: %s\n\n", kind, text)
}

func (s *stream) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(patient{s.w}, format, args...)
	}
}

// flush sends what was written.
func (s *stream) flush() error {
	if s.err == nil {
		s.err = http.NewResponseController(s.w).Flush()
	}
	return s.err
}
