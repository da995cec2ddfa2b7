// Package shard divides the runs of a study in advance among machines that share no folder. Every machine computes
// the same division from the study alone, so that each run is in exactly one shard. Each shard is executed in a folder
// of its own, which records what it is (shard.json); package merge makes one folder of them.
package shard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/study"
)

// Shard is one of several parts of a study. The zero value is the whole study.
type Shard struct {
	// Index counts from 1.
	Index int `json:"shard"`
	// Of is the number of shards; 0 for the whole study.
	Of int `json:"of"`
}

// most bounds the number of shards: a larger one is a mistake.
const most = 100_000

// Error is a mistake in a division.
type Error struct{ Msg, Next string }

// Error describes the mistake.
func (e *Error) Error() string { return e.Msg }

// NextStep returns the next step for the user.
func (e *Error) NextStep() string { return e.Next }

// IsUsage marks a mistake of the command line.
func (e *Error) IsUsage() {}

// Parse reads a shard as i/n, such as 2/4. An empty text is the whole study.
func Parse(text string) (Shard, error) {
	if text == "" {
		return Shard{}, nil
	}
	first, second, ok := strings.Cut(text, "/")
	i, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(second)
	switch {
	case !ok || err1 != nil || err2 != nil || n < 1 || n > most:
		return Shard{}, &Error{fmt.Sprintf("%q is not a shard", text),
			"give its number and how many there are, such as --shard 2/4"}
	case n == 1:
		return Shard{}, &Error{"one shard is the whole study", "leave --shard out, or divide the study, as 1/2 and 2/2"}
	case i < 1 || i > n:
		return Shard{}, &Error{fmt.Sprintf("there is no shard %d of %d", i, n),
			fmt.Sprintf("shards count from 1: give 1/%d to %d/%d", n, n, n)}
	}
	return Shard{i, n}, nil
}

// Whole reports whether it is the whole study.
func (s Shard) Whole() bool { return s.Of == 0 }

// String names the shard in a sentence.
func (s Shard) String() string {
	if s.Whole() {
		return "the whole study"
	}
	return fmt.Sprintf("shard %d of %d", s.Index, s.Of)
}

// Named adds the shard to the name of its study.
func (s Shard) Named(study string) string {
	switch {
	case s.Whole():
		return study
	case study == "":
		return s.String()
	}
	return study + ", " + s.String()
}

// Folder adds the shard to the name of a folder: machines that begin in the same second make folders of one name
// otherwise.
func (s Shard) Folder(name string) string {
	if s.Whole() {
		return name
	}
	return name + "-" + s.Worker()
}

// Worker returns the name under which a process that executes the shard alone keeps its canary.
func (s Shard) Worker() string { return fmt.Sprintf("shard%dof%d", s.Index, s.Of) }

// Has reports whether the shard has a run: a cycle, counted from 1, of an experiment, counted from 0.
//
// The numbers of runs of two shards differ by one at most. The cycles of an experiment are in different shards as long
// as there are enough shards, and neighbouring experiments share shards, so that no shard stands for a configuration.
// With execution.placement same, all cycles of an experiment are in one shard.
func (s Shard) Has(of *study.Study, experiment, cycle int) bool {
	if s.Whole() {
		return true
	}
	return s.Index-1 == indexOf(len(of.Experiments), experiment, cycle-1, s.Of, together(of))
}

// together reports whether the cycles of an experiment stay together.
func together(of *study.Study) bool { return of.Execution.Placement == terms.PlaceSame }

// indexOf returns the shard, counted from 0, of a cycle, counted from 0, of one of several experiments.
func indexOf(experiments, e, cycle, shards int, together bool) int {
	if together {
		return e % shards
	}
	rest := experiments % shards
	if e < experiments-rest {
		return (e + cycle) % shards // as many experiments as shards fill one cycle evenly, wherever they begin
	}
	// In each cycle the other experiments continue where they ended in the cycle before. A cycle begins at the
	// same shard again after shards/d cycles, and is then moved on by one.
	d := divisor(rest, shards)
	return (cycle*rest + e - (experiments - rest) + cycle*d/shards) % shards
}

// divisor returns the greatest common divisor.
func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Complete reports whether the shard has all cycles of its experiments, so that their precision is known in it.
func (s Shard) Complete(of *study.Study) bool { return s.Whole() || together(of) }

// Runs counts the planned runs of the shard.
func (s Shard) Runs(of *study.Study) (n int) {
	if s.Whole() {
		return len(of.Experiments) * of.Execution.Cycles
	}
	for e := range of.Experiments {
		n += s.Cycles(of, e)
	}
	return n
}

// Cycles counts the planned cycles of an experiment that are in the shard.
func (s Shard) Cycles(of *study.Study, experiment int) (n int) {
	if s.Whole() {
		return of.Execution.Cycles
	}
	for c := range of.Execution.Cycles {
		if s.Has(of, experiment, c+1) {
			n++
		}
	}
	return n
}

// Check returns an error if the shard has no run.
func (s Shard) Check(of *study.Study) error {
	if s.Runs(of) > 0 {
		return nil
	}
	runs, what := Shard{}.Runs(of), "run"
	if together(of) {
		runs, what = len(of.Experiments), "configuration"
	}
	next := fmt.Sprintf("divide it into at most %d shards", runs)
	if runs < 2 {
		next = "leave --shard out"
	}
	why := ""
	if together(of) {
		why = ", which execution.placement: same keeps together"
	}
	return &Error{fmt.Sprintf("%s has no run: the study has %s%s", s, digits.Count(runs, what), why), next}
}

// File is the name of the file that records the shard in the folder of a study.
const File = "shard.json"

// Record is the content of the file.
type Record struct {
	Shard
	// Study is the SHA-256 checksum of the study, as in the first line of study.yaml: the same in all shards.
	Study string `json:"study_sha256"`
}

// Read reads which shard a folder has; the whole study if it does not record one.
func Read(dir string) (Shard, error) {
	path := filepath.Join(dir, File)
	text, err := disk.ReadFile(path, disk.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return Shard{}, nil
	}
	var r Record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err == nil && (r.Of < 2 || r.Index < 1 || r.Index > r.Of) {
		err = fmt.Errorf("it names shard %d of %d", r.Index, r.Of)
	}
	if err != nil {
		return Shard{}, fmt.Errorf("read which shard of a study this is, %s: %w", path, err)
	}
	return r.Shard, nil
}
