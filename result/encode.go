package result

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/intern"
	"github.com/llenergymeasure/llem/internal/jsonlist"
	"github.com/llenergymeasure/llem/internal/secret"
)

// Encode writes the result as one JSON document. A large study has a line for each experiment and each row,
// and is not built in memory.
func (s *StudyResult) Encode(w io.Writer) error {
	if s.RunsReason == "" {
		return disk.EncodeJSON(w, s)
	}
	head := *s
	head.Experiments, head.Rows, head.Runs = nil, nil, nil
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode the summary: %w", err)
	}
	b := bufio.NewWriterSize(w, 1<<16)
	b.Write(text[:bytes.LastIndex(text, []byte(`"experiments":null`))])
	if err := jsonlist.Encode(b, "experiments", len(s.Experiments),
		func(i int) any { return s.Experiments[i].brief(len(s.Experiments)) }); err != nil {
		return err
	}
	b.WriteString(",\n")
	if err := jsonlist.Encode(b, "rows", len(s.Rows), func(i int) any { return s.Rows[i].Brief() }); err != nil {
		return err
	}
	b.WriteString(",\n\"runs\":null}\n")
	return b.Flush()
}

// mostInFull is the number of configurations up to which a summary has all metrics of each. The journal
// always has them.
const mostInFull = 10_000

// brief returns the configuration with only the main metrics if it has a single run and is one of very many:
// 100,000 of them would take a gigabyte.
func (e ExperimentSummary) brief(of int) ExperimentSummary {
	if of > mostInFull && e.Metrics.many == nil {
		e.Metrics.one = e.Metrics.one.only(mainPlaces)
	}
	return e
}

// ReadStudy reads the summary of a study's folder.
func ReadStudy(dir string) (*StudyResult, error) {
	s, err := readSummary(dir, false)
	if err != nil {
		return nil, err
	}
	if abs, err := filepath.Abs(dir); err == nil {
		s.Dir = abs // the folder may have been moved
	}
	return s, nil
}

// ReadHead reads the part of a summary before its lists: whether the study is complete, and its numbers of
// runs.
func ReadHead(dir string) (*StudyResult, error) { return readSummary(dir, true) }

// readSummary reads lists one element at a time, because the file may be large.
func readSummary(dir string, headOnly bool) (*StudyResult, error) {
	f, err := disk.Open(filepath.Join(dir, SummaryFile), disk.MaxList)
	if err != nil {
		return nil, fmt.Errorf("read the study: %w", err)
	}
	defer f.Close()
	var s StudyResult
	watch := secret.NewWatch(f)
	if err := s.decode(json.NewDecoder(bufio.NewReaderSize(watch, 1<<16)), headOnly); err != nil {
		return nil, fmt.Errorf("read the study %s: %w", dir, err)
	}
	if s.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("summary %s has schema version %d; this version of llem reads version %d",
			filepath.Join(dir, SummaryFile), s.SchemaVersion, SchemaVersion)
	}
	if watch.Odd() {
		secret.CleanPlain(&s)
	}
	s.simulated()
	for _, r := range s.Runs {
		r.Latency.convert(r.Config)
	}
	for i, e := range s.Experiments {
		if e.Standing != nil {
			s.Experiments[i].Standing.ID = e.ID
		}
	}
	return &s, nil
}

// simulated corrects the provenance of the simulated engine in results of earlier versions.
func (s *StudyResult) simulated() {
	backends := map[string]string{}
	for i := range s.Experiments {
		e := &s.Experiments[i]
		backends[e.ID] = e.Config.Backend
		e.Provenance = e.Provenance.Of(e.Config.Backend)
	}
	for i := range s.Rows {
		s.Rows[i].Provenance = s.Rows[i].Provenance.Of(backends[s.Rows[i].ID])
	}
	for _, r := range s.Runs {
		r.Energy.Provenance = r.Energy.Provenance.Of(r.Backend.Name)
	}
}

func (s *StudyResult) decode(d *json.Decoder, headOnly bool) error {
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("it is not a summary: %w", err)
	}
	if t != json.Delim('{') {
		return errors.New("it is not a summary: it does not begin with an object")
	}
	head := map[string]json.RawMessage{}
	shared := intern.Pool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch {
		case headOnly && (key == "experiments" || key == "runs"):
			return s.head(head)
		case key == "experiments":
			err = jsonlist.Decode(d, &s.Experiments, func(e *ExperimentSummary) { e.Config = e.Config.Recorded(e.ID) })
		case key == "rows":
			err = jsonlist.Decode(d, &s.Rows, func(r *Row) { shared.Share(r) })
		case key == "runs":
			err = jsonlist.Decode(d, &s.Runs, nil)
		default:
			var raw json.RawMessage
			err = d.Decode(&raw)
			head[key.(string)] = raw
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it is not a summary: there is text after the JSON object")
	}
	return s.head(head)
}

// head sets the fields beside the lists.
func (s *StudyResult) head(head map[string]json.RawMessage) error {
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, s)
}
