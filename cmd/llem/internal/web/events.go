package web

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// maxLine is the size of the longest line of a journal that is followed, in bytes.
const maxLine = 4 << 20

// run is a finished run, as an event.
type run struct {
	// N is the number of its line in the journal, from 1: the id of the event.
	N int `json:"n"`
	// ID and Cycle name the run; Label is the name of its configuration.
	ID    string `json:"id"`
	Cycle int    `json:"cycle"`
	Label string `json:"label"`
	// Status is the outcome.
	Status result.Status `json:"status"`
	// Energy is energy.per_output_token_j in J; null if unknown.
	Energy *float64 `json:"per_output_token_j"`
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

// tail reads the complete lines of a journal as they are appended.
type tail struct {
	root   *os.Root
	offset int64 // of the first byte that was not read
	lines  int   // that were read
	made   map[store.RunKey]bool
	tookS  float64 // of all lines
	names  func(id string) string
}

// errShorter: the journal has less than was read of it, as after a repair.
var errShorter = errors.New("the journal is shorter than it was")

// next returns the runs of the lines that were added.
func (t *tail) next() ([]run, error) {
	f, err := openFile(t.root, store.JournalFile)
	if err != nil {
		return nil, nil // not yet written
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Size() < t.offset:
		return nil, errShorter
	}
	var out []run
	br := bufio.NewReaderSize(io.NewSectionReader(f, t.offset, info.Size()-t.offset), 1<<16)
	for {
		line, err := br.ReadBytes('\n')
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("line %d of the journal is too long", t.lines+1)
		case err != nil:
			return out, nil // the rest is being written
		}
		t.offset += int64(len(line))
		t.lines++
		var e store.Entry
		if json.Unmarshal(line, &e) != nil {
			continue // a damaged line; llem report names it
		}
		out = append(out, t.run(e))
	}
}

// run turns a line into an event.
func (t *tail) run(e store.Entry) run {
	t.made[store.RunKey{ID: e.ID, Cycle: e.Cycle}] = true
	t.tookS += e.TookS
	out := run{N: t.lines, ID: e.ID, Cycle: e.Cycle, Label: t.names(e.ID), Status: e.Status, TookS: e.TookS, At: e.At}
	if v, ok := e.Values.Get(energyMetric); ok {
		out.Energy = &v
	}
	return out
}

// progress returns how far the study is.
func (t *tail) progress(planned int, ended bool) progress {
	p := progress{Done: len(t.made), Planned: planned, Ended: ended}
	if t.lines > 0 && t.tookS > 0 && planned >= p.Done {
		left := t.tookS / float64(t.lines) * float64(planned-p.Done)
		p.LeftS = &left
	}
	return p
}

// frozen returns the number of planned runs of a study, 0 if unknown, and the names of its configurations.
func (st *study) frozen() (planned int, names func(id string) string) {
	labels := map[string]string{}
	names = func(id string) string { return labels[id] }
	if st.contained() != nil {
		return 0, names
	}
	s, _, err := store.ReadFrozen(st.path)
	if err != nil {
		return 0, names
	}
	of := naming.Of(s.Experiments)
	for _, e := range s.Experiments {
		labels[e.ID()] = of.Label(e)
	}
	return len(s.Experiments) * s.Execution.Cycles, names
}

// events sends the finished runs of a study as they are written: one event per line of the journal, whose id is the
// number of the line. A client that comes back with the id of the last event that it got receives the lines after it,
// each once.
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
	planned, names := st.frozen()
	t := &tail{root: root, made: map[store.RunKey]bool{}, names: names}
	s.follow(r, &stream{w: w}, st, t, planned)
}

// follow sends events until the study is complete, the client leaves or the server ends.
func (s *Server) follow(r *http.Request, to *stream, st *study, t *tail, planned int) {
	from := lastEvent(r)
	poll := time.NewTicker(s.o.Poll)
	defer poll.Stop()
	beat := time.NewTicker(s.o.Heartbeat)
	defer beat.Stop()
	for first := true; ; first = false {
		runs, err := t.next()
		if err != nil || first && from > t.lines {
			to.send("reset", 0, struct{}{}) // the page is loaded again
			return
		}
		for _, one := range runs {
			if one.N > from {
				to.send("run", one.N, one)
			}
		}
		if ended := s.ended(st); first || len(runs) > 0 || ended {
			to.send("progress", 0, t.progress(planned, ended))
			if ended {
				return
			}
		}
		if to.flush() != nil {
			return
		}
		select {
		case <-poll.C:
		case <-beat.C:
			to.comment("still here")
		case <-r.Context().Done():
			return
		case <-s.ending:
			return
		}
	}
}

// lastEvent returns the number of the last line that a client knows.
func lastEvent(r *http.Request) int {
	for _, text := range []string{r.Header.Get("Last-Event-ID"), r.URL.Query().Get("from")} {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 {
			return n
		}
	}
	return 0
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

// send writes an event; n is its id, 0 for an event that changes nothing about where a client goes on.
func (s *stream) send(kind string, n int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.err = err
		return
	}
	if n > 0 {
		s.printf("id: %d\n", n)
	}
	s.printf("event: %s\ndata: %s\n\n", kind, text)
}

// comment writes a line that clients ignore, so that a connection that was cut is noticed.
func (s *stream) comment(text string) { s.printf(": %s\n\n", text) }

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
