// Package verdict judges whether the numbers of a study can be trusted, for a reviewer who has its folder or an archive
// of it: what follows from the raw files, what could not be checked, and what the sensors' self-test says.
package verdict

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/recheck"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/scrub"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// State is the answer.
type State string

// States of a study.
const (
	// Verified: every number of every run follows from the raw files, which have their checksums.
	Verified State = "verified"
	// Partly: nothing contradicts, but some runs or files could not be checked.
	Partly State = "partly"
	// Differs: a number does not follow from the raw files, or a file has changed.
	Differs State = "differs"
	// Nothing: no run has both numbers and raw files.
	Nothing State = "nothing"
)

// Verdict is what was found out about a study.
type Verdict struct {
	SchemaVersion int    `json:"schema_version"` // 1
	State         State  `json:"state"`
	Study         string `json:"study"`
	// MeasuredWith is the version of llem that measured, and Finished when.
	MeasuredWith string    `json:"measured_with,omitempty"`
	Finished     time.Time `json:"finished"`
	// Planned counts the runs of the study, and Complete reports whether none is left.
	Planned  int  `json:"planned"`
	Complete bool `json:"complete"`
	// Running describes the processes that execute the study while it is verified; empty if there is none.
	Running string `json:"running,omitempty"`
	// Recomputed counts the runs whose numbers all match, and Numbers those numbers.
	Recomputed int `json:"recomputed"`
	Numbers    int `json:"numbers"`
	// WithoutNumbers counts the runs that have none, such as failed ones; WithoutSeries the runs whose raw files were
	// left out; Unchecked the runs without checksums.
	WithoutNumbers int `json:"without_numbers"`
	WithoutSeries  int `json:"without_series"`
	Unchecked      int `json:"unchecked"`
	// Replaced counts the files in which private texts were replaced before the study was shared.
	Replaced int `json:"replaced_files,omitempty"`
	// Superseded reports that the summary is of an earlier version and is not used.
	Superseded bool `json:"summary_superseded"`
	// Problems has what does not match.
	Problems []Problem `json:"problems"`
	// Energy counts the configurations by the origin of their energy: measured, modelled, simulated or none.
	Energy map[string]int `json:"energy"`
	// Devices are the devices that ran the models.
	Devices []string `json:"devices"`
	// SelfTest is what the sensors' self-test says.
	SelfTest SelfTest `json:"self_test"`
}

// Problem is a run or a file that does not match.
type Problem struct {
	Of   string `json:"of"`
	What string `json:"what"`
	Next string `json:"next,omitempty"`
}

// SelfTest is the self-test of the sensors that is stored with the study.
type SelfTest struct {
	// When is the time of the test; nil if there is none.
	When *time.Time `json:"when"`
	// Level is the worst of the findings: ok, warn or fail; empty without a test.
	Level string `json:"level,omitempty"`
	// Findings has the findings that are not ok, or why there is no test.
	Findings []string `json:"findings"`
}

// Of judges the study in a folder.
func Of(dir string) (*Verdict, error) {
	all, unchecked, err := recheck.Folder(dir)
	if _, damaged := errors.AsType[*store.DamageError](err); err != nil && !damaged {
		return nil, err
	}
	v := &Verdict{SchemaVersion: 1, Study: filepath.Base(dir), Unchecked: unchecked, Problems: []Problem{},
		Energy: map[string]int{}, Devices: []string{}, SelfTest: SelfTest{Findings: []string{}}}
	for _, r := range all {
		v.add(r)
	}
	if err != nil {
		v.Problems = append(v.Problems, Problem{Of: "the folder", What: err.Error()})
	}
	if rec, err := result.ReadRecord(filepath.Join(dir, result.RecordFile)); err == nil {
		v.run(rec)
	} else {
		v.study(dir)
	}
	v.Replaced = replaced(dir)
	v.State = v.state()
	return v, nil
}

// add counts the outcome of one run.
func (v *Verdict) add(r join.Recomputed) {
	switch {
	case r.Skipped != "" && r.Run == result.SummaryFile:
		v.Superseded = true
	case recheck.Bare(r):
		v.WithoutSeries++
	case r.Error != "" || len(r.Differ) > 0 || len(r.Files) > 0:
		v.Problems = append(v.Problems, Problem{r.Run, wrong(r), r.Next})
	case r.Skipped != "":
		v.WithoutNumbers++
	default:
		v.Recomputed++
		v.Numbers += r.Numbers
	}
}

// wrong is what does not match, in one line.
func wrong(r join.Recomputed) string {
	switch {
	case r.Error != "":
		return r.Error
	case len(r.Files) > 0:
		return r.Files[0] + more(len(r.Files)-1, "file")
	}
	d := r.Differ[0]
	return fmt.Sprintf("%s is %v, and %v by the raw files", d.Key, d.Recorded, d.Computed) +
		more(len(r.Differ)-1, "number")
}

func more(n int, of string) string {
	if n == 0 {
		return ""
	}
	return "; " + digits.Count(n, "more "+of)
}

// run reads what the record of a single run says about it.
func (v *Verdict) run(rec *result.Record) {
	v.Planned, v.Complete, v.MeasuredWith = 1, true, rec.Program
	v.Energy[cmp.Or(string(rec.Energy.Provenance), "none")]++
	if rec.Backend.Device != "" {
		v.Devices = append(v.Devices, rec.Backend.Device)
	}
	if rec.Window != nil {
		v.Finished = rec.Window.End
	}
	v.SelfTest.Findings = []string{"It is in the folder of the study."}
}

// study reads what the study's files say about it.
func (v *Verdict) study(dir string) {
	s, err := store.Open(dir)
	if s == nil && len(v.Problems) > 0 {
		return
	}
	if s == nil {
		v.Problems = append(v.Problems, Problem{Of: "the folder", What: err.Error()})
		return
	}
	v.Planned, v.Complete, v.Finished = s.Planned, s.Complete, s.Finished
	v.Study = cmp.Or(s.Name, v.Study)
	if !s.Complete {
		v.Running = running.Now(dir)
	}
	for _, e := range s.Experiments {
		v.Energy[cmp.Or(string(e.Provenance), "none")]++
		if e.Device != "" && !slices.Contains(v.Devices, e.Device) {
			v.Devices = append(v.Devices, e.Device)
		}
	}
	var machine host.Snapshot
	if text, err := small(dir, store.EnvFile); err == nil && json.Unmarshal(text, &machine) == nil {
		v.MeasuredWith = machine.Build.Version
	}
	v.SelfTest = selfTest(dir)
}

// replaced returns in how many files of a shared copy private texts were replaced.
func replaced(dir string) int {
	var copied scrub.Copy
	if text, err := small(dir, scrub.File); err != nil || json.Unmarshal(text, &copied) != nil {
		return 0
	}
	return len(copied.Original)
}

func small(dir, name string) ([]byte, error) {
	return disk.ReadFile(filepath.Join(dir, name), disk.MaxSmall)
}

// selfTest reads the study's self-test.
func selfTest(dir string) SelfTest {
	text, err := small(dir, store.DoctorFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		text = []byte{} // it is there
	}
	kept := doctor.ReadStored(text)
	if kept.Report == nil {
		return SelfTest{Findings: []string{kept.Without}}
	}
	r := kept.Report
	out := SelfTest{When: &r.When, Level: string(doctor.Good), Findings: []string{}}
	for _, f := range r.Verdict {
		if f.Level == doctor.Good {
			continue
		}
		if out.Level != string(doctor.Fail) {
			out.Level = string(f.Level)
		}
		out.Findings = append(out.Findings, f.Line())
	}
	return out
}

// state is the answer to what was found.
func (v *Verdict) state() State {
	switch {
	case len(v.Problems) > 0:
		return Differs
	case v.Recomputed == 0:
		return Nothing
	case v.Unchecked > 0 || v.WithoutNumbers > 0 || v.WithoutSeries > 0 || !v.Complete:
		return Partly
	}
	return Verified
}
