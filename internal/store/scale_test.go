package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// scaleRuns is how many runs the large studies of benchmarks have, and testRuns the one of the
// test, whose limits are for
// each run.
const scaleRuns, testRuns = 100_000, 20_000

// largeStudy writes a study of n experiments with cycles runs each: the journal is that
// of real runs, all folders are links to one.
func largeStudy(tb testing.TB, n, cycles int) (string, *study.Study) {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.Mkdir(filepath.Join(dir, result.RunsDir), 0o755); err != nil {
		tb.Fatal(err)
	}
	s := &study.Study{Name: "large", Execution: study.Execution{Cycles: cycles, Order: terms.Interleave}}
	for i := range n {
		e := study.DefaultExperiment(engines.Find(nil, "fake"))
		e.Model, e.Seed = "random:tiny-llama", uint64(i+1)
		s.Experiments = append(s.Experiments, e)
	}
	one := tb.TempDir()
	f, err := os.Create(filepath.Join(dir, JournalFile))
	if err != nil {
		tb.Fatal(err)
	}
	d := &Dir{path: dir, journal: f}
	for k := range n * cycles {
		e := s.Experiments[k%n]
		r := fullRecord(e, k/n+1)
		if k == 0 {
			text, err := json.Marshal(r)
			if err == nil {
				err = os.WriteFile(filepath.Join(one, result.RecordFile), text, 0o600)
			}
			if err != nil {
				tb.Fatal(err)
			}
		}
		if err := os.Symlink(one, filepath.Join(dir, filepath.FromSlash(result.RunPath(r.ID, r.Cycle)))); err != nil {
			tb.Fatal(err)
		}
		line, err := Entry{Row: RowOf(r), Run: result.RunPath(r.ID, r.Cycle),
			At: time.Unix(1.8e9+int64(k), 0).UTC(), Manifest: strings.Repeat("0", 64)}.Line()
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := d.journal.Write(line); err != nil {
			tb.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir, s
}

// fullRecord has every metric.
func fullRecord(e study.Experiment, cycle int) *result.Record {
	x := 1 + 0.01*float64(cycle%7) + 1e-6*float64(e.Seed)
	r := &result.Record{}
	everything(reflect.ValueOf(r).Elem(), x)
	r.SchemaVersion, r.ID, r.Cycle, r.Status, r.Config = result.SchemaVersion, e.ID(), cycle, result.OK, e
	r.Backend = result.Backend{Name: "fake", DType: "float16"}
	r.Energy.Provenance, r.WorkloadHash = result.Modelled, fmt.Sprintf("%016x", e.Seed)
	r.Energy.Reason, r.Memory.Method, r.Memory.ProcessMethod = "", "", ""
	r.Warnings = note.List{{Code: codes.Simulated, Message: "the GPU does not exist"}}
	r.Timing.TookS = 12.5
	return r
}

// everything gives every number of a value, which stands for something, a value near x.
func everything(v reflect.Value, x float64) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		everything(v.Elem(), x)
	case reflect.Struct:
		for f, in := range v.Fields() {
			if f.IsExported() && f.Name != "Config" && f.Name != "Failure" {
				everything(in, x*(1+1e-3*float64(in.NumMethod()+len(f.Name))))
			}
		}
	case reflect.Float64:
		v.SetFloat(123.456 * x)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1e9 * x))
	}
}

// heap is what is alive.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLargeStudy: the summary of many runs is folded from the journal, with a few
// numbers in memory for each run, and can be read back from summary.json so.
func TestLargeStudy(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 20 000 folders")
	}
	const n, cycles = testRuns / 20, 20
	dir, s := largeStudy(t, n, cycles)
	for _, m := range result.Metrics() {
		if _, ok := m.Value(fullRecord(s.Experiments[0], 1)); !ok {
			t.Errorf("%s is not in the records of this test", m.Name)
		}
	}
	before := heap()
	res, err := Summarize(dir, s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if res.OK != testRuns || !res.Complete || len(res.Rows) != testRuns || len(res.Experiments) != n ||
		res.Runs != nil || res.RunsReason == "" {
		t.Fatalf("%d ok, complete %v, %d rows, %d experiments", res.OK, res.Complete, len(res.Rows),
			len(res.Experiments))
	}
	if len(res.Doubts) != 1 || res.Doubts[0].Runs != testRuns || res.Doubts[0].Message == "" {
		t.Errorf("doubts %+v", res.Doubts)
	}
	if grown := heap() - before; grown > mostHeap {
		t.Errorf("the summary takes %d MB of memory, want at most %d", grown>>20, mostHeap>>20)
	}
	if err := (&Dir{path: dir}).WriteSummary(res); err != nil {
		t.Fatal(err)
	}
	first := res.Experiments[0]
	res = nil
	read, err := result.ReadStudy(dir)
	if err != nil || read.OK != testRuns || len(read.Rows) != testRuns || len(read.Experiments) != n ||
		!read.Experiments[0].Metrics.Equal(first.Metrics) {
		t.Fatalf("read back: %v", err)
	}
	if grown := heap() - before; grown > mostHeap {
		t.Errorf("read back, the summary takes %d MB of memory, want at most %d", grown>>20, mostHeap>>20)
	}
	runtime.KeepAlive(read)
	runtime.KeepAlive(s)
}

// mostHeap bounds what a summary keeps of the runs, each of which has all metrics in this test.
var mostHeap = int64(testRuns * 12 * len(result.Metrics()))

// BenchmarkLargeStudy: from the journal to summary.json, and back.
func BenchmarkLargeStudy(b *testing.B) {
	for _, shape := range [][2]int{{scaleRuns, 1}, {scaleRuns / 20, 20}, {scaleRuns / 1000, 1000}} {
		dir, s := largeStudy(b, shape[0], shape[1])
		b.Run(fmt.Sprintf("summary/%dx%d", shape[0], shape[1]), func(b *testing.B) {
			for b.Loop() {
				res, err := Summarize(dir, s, time.Now())
				if err == nil {
					err = (&Dir{path: dir}).WriteSummary(res)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("open/%dx%d", shape[0], shape[1]), func(b *testing.B) {
			for b.Loop() {
				if _, err := Open(dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
