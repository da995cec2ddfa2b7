package plan

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// Limits on reading earlier studies.
const (
	mostStudies = 20
	mostRecords = 500
)

// Learn reads the results of earlier runs on GPUs, from the newest studies in a folder of results. Unreadable ones
// are skipped: they would only improve estimates.
func (e *Estimator) Learn(results string) {
	journals, err := filepath.Glob(filepath.Join(results, "*", store.JournalFile))
	if err != nil {
		return
	}
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return -info.ModTime().UnixNano()
	}
	slices.SortFunc(journals, func(a, b string) int { return cmp.Compare(age(a), age(b)) })
	for _, j := range journals[:min(len(journals), mostStudies)] {
		for rec, err := range store.Records(filepath.Dir(j)) {
			if err != nil || len(e.earlier) >= mostRecords {
				break
			}
			if run, ok := e.runOf(rec); ok {
				e.earlier = append(e.earlier, run)
			}
		}
	}
}

// runOf reduces a record to what estimates learn from it: a comparable run, on a GPU that was measured.
func (e *Estimator) runOf(r *result.Record) (estimate.Run, bool) {
	device := ""
	for _, d := range r.Energy.Devices {
		if d.Counted && d.Kind == "gpu" {
			device = d.Name
		}
	}
	if !r.Comparable() || device == "" || r.Energy.Provenance != result.Measured || r.Window == nil || r.Tokens == nil {
		return estimate.Run{}, false
	}
	if a := r.Config.Workload.Load; a.Open() || a.Search != "" {
		return estimate.Run{}, false // its window is as long as requests arrive, whatever the engine is
	}
	sec := e.sectionOf(r.Config)
	d := e.engineOf(r.Config.Backend)
	if r.Window.Repeats > 1 && r.Window.Round == 0 && r.Config.Workload.Concurrency == 0 && d.Serves != nil {
		return estimate.Run{}, false // of an earlier version: the repeats ran concurrently
	}
	if sec.Unknown != "" || sec.Weights.Format != "" {
		// estimates do not model these settings, and would attribute their effect to what they model
		return estimate.Run{}, false
	}
	config, err := e.config(r.Config.Model)
	if err != nil {
		return estimate.Run{}, false
	}
	w := r.Config.Workload
	// Each repeat is the workload once, if they ran one after the other.
	prompts, times := w.Prompts*max(1, r.Window.Repeats), 1.0
	if r.Window.Round > 0 {
		prompts, times = w.Prompts, float64(max(1, r.Window.Repeats))
	}
	batch := sec.steps
	if w.Concurrency > 0 {
		batch = min(batch, w.Concurrency)
	}
	run := estimate.Run{Device: device, Backend: r.Config.Backend, Attention: r.Backend.Attention, Model: config,
		Seconds:  r.Window.DurationS / times,
		Parallel: max(1, sec.Parallel) * max(1, sec.Stages), CacheBits: sec.CacheBits,
		Exact: string(r.Config.Section),
		Work: estimate.Work{Prompts: prompts, Batch: batch, Input: w.InputTokens, Output: w.OutputTokens,
			Padded: w.Dataset != "synthetic"}}
	if _, stored := storedFormat(config.Stored); stored || sec.Quantization != "" {
		run.Format, _ = formatOf(r.Config, sec, config.Stored)
	} else if run.Format, err = estimate.ParseFormat(dtypeOf(r)); err != nil {
		return estimate.Run{}, false
	}
	if q := r.Energy.TotalJ; q != nil {
		run.Energy = unit.Energy(q.Value / times * float64(unit.Joule))
	}
	// Estimates predict what tensors hold; a pool that the engine fills carries no information.
	if p := r.Memory.PeakBytes; p != nil && r.Memory.By() == result.MemoryAllocator {
		run.Peak = digits.Bytes(*p)
	}
	return run, true
}

// dtypeOf returns the dtype that the engine used, or the requested one if that is unknown.
func dtypeOf(r *result.Record) string { return cmp.Or(r.Backend.DType, r.Config.DType) }
