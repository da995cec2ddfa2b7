package join

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// The accuracy table: simulated runs, measured through the fake driver library by the real sampler and joined
// by the real code, compared with the truth.
var (
	accuracySeeds = flag.Int("accuracy.seeds", 0, "samples of the whole grid; 0 is a small part of it")
	accuracyOut   = flag.String("accuracy.out", "", "write the table into this file, between its marks")
)

// outcome is the result of one simulated run.
type outcome struct {
	point   sim.GridPoint
	rec     *result.Record
	prefill error95
	decode  error95
	total   error95
	naive   map[string][2]float64 // relative errors of prefill and decode
}

// error95 compares a value with the truth.
type error95 struct {
	relative float64 // error
	seen     float64 // relative error if the sensor's gain were known
	half     float64 // half width of the statistical interval, relative to the truth
	covered  bool    // by the statistical interval, if the sensor's gain were known
	bounded  bool    // with the stated gain added
	refused  string
}

func compare(value, low, high, gain, truth, sensorGain float64) error95 {
	seen := truth * (1 + sensorGain)
	return error95{relative: value/truth - 1, seen: value/seen - 1, half: (high - low) / 2 / truth,
		covered: low <= seen && seen <= high, bounded: low-gain <= truth && truth <= high+gain}
}

// simulate executes one run of the grid.
func simulate(t *testing.T, library string, p sim.GridPoint) outcome {
	t.Helper()
	var out *sim.Outcome
	var err error
	synctest.Test(t, func(t *testing.T) { out, err = sim.Run(t.Context(), library, t.TempDir(), p.Scenario) })
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	m := &Material{Engine: Engine{Tier: backend.TierExact, Device: "cuda"}, Requests: out.Log.Requests,
		Steps: out.Log.Steps, Window: attribute.Window(out.Window), Bare: attribute.Window(out.Bare.Window),
		Resident: attribute.Window(out.Resident.Window)}
	m.SetTrace(Traces(Traces(out.Bare.Trace, out.Resident.Trace), out.Trace))
	// As after a self-test that found that the counter misses nothing.
	swing, profiles := 0.0, map[string]*power.Profile{}
	for _, d := range out.Devices {
		profiles[d.ID] = &power.Profile{Device: d.ID, SwingPct: &swing}
	}
	m.SetDevices(out.Devices, nil, profiles)
	for _, q := range out.Log.Requests {
		m.Given += int64(q.PromptTokens)
		m.Asked += int64(q.OutputTokens)
	}
	rec := &result.Record{Config: study.DefaultExperiment(engines.All()[0]),
		Energy: result.Energy{Provenance: result.None}}
	Compute(m, rec, nil)
	o := outcome{point: p, rec: rec}
	if q := rec.Energy.TotalJ; q != nil {
		gain := p.GPUs[0].Counter.Gain
		if !strings.Contains(q.Source, sensor.SourceEnergy) {
			gain = seriesGain(p.GPUs[0])
		}
		o.total = compare(q.Value, q.CI95[0], q.CI95[1], q.Gain95, out.Truth.Total, gain)
	} else {
		o.total.refused = rec.Energy.Reason
	}
	o.prefill = phaseError(rec, func(p *result.Phases) *result.Phase { return p.Prefill }, out.Truth.Prefill.Joules,
		seriesGain(p.GPUs[0]))
	o.decode = phaseError(rec, func(p *result.Phases) *result.Phase { return p.Decode }, out.Truth.Decode.Joules,
		seriesGain(p.GPUs[0]))
	o.naive = naiveErrors(out)
	o.naive["two passes: one token, then all"] = twoPasses(t, library, p, out)
	return o
}

// twoPasses repeats the workload with one token each and takes its energy for prefill; the rest of the energy
// is decode. Both energies are the true ones.
func twoPasses(t *testing.T, library string, p sim.GridPoint, all *sim.Outcome) [2]float64 {
	t.Helper()
	s := p.Scenario
	s.OutputTokens = 1
	var one *sim.Outcome
	var err error
	synctest.Test(t, func(t *testing.T) { one, err = sim.Run(t.Context(), library, t.TempDir(), s) })
	if err != nil {
		t.Fatalf("%s, one token: %v", p.Name, err)
	}
	prefill, decode := one.Truth.Total, all.Truth.Total-one.Truth.Total
	return [2]float64{prefill/all.Truth.Prefill.Joules - 1, decode/all.Truth.Decode.Joules - 1}
}

func phaseError(rec *result.Record, of func(*result.Phases) *result.Phase, truth, gain float64) error95 {
	if rec.Energy.Phases == nil {
		return error95{refused: rec.Energy.PhasesReason + rec.Energy.Reason}
	}
	p := of(rec.Energy.Phases)
	if p.EnergyJ == nil {
		return error95{refused: p.Reason}
	}
	return compare(*p.EnergyJ, p.CI95[0], p.CI95[1], *p.Gain95, truth, gain)
}

// seriesGain is the gain of the series that the meter chooses.
func seriesGain(s sim.Sensors) float64 {
	switch {
	case s.Ring.Spacing > 0:
		return s.Ring.Gain
	case s.Instant.Refresh > 0:
		return s.Instant.Gain
	}
	return s.Average.Gain
}

// naiveErrors returns the errors of other tools' methods with perfect sensors, so only the method errs. Mixed
// steps are assigned as the method would.
func naiveErrors(out *sim.Outcome) map[string][2]float64 {
	curve := out.Curves[0]
	var prefill, decode, busyP, busyD float64
	var ttftP, polledP, polledD float64
	w := attribute.Window(out.Window)
	average := func(t int64) float64 { return curve.Joules(t-1e9, t) / 1 }
	held := func(t int64) float64 { // 25 ms of every 100 ms, held
		at := t - t%1e8
		return curve.Joules(at-25e6, at) / 0.025
	}
	for _, s := range out.Log.Steps {
		d := float64(s.EndNS-s.StartNS) / 1e9
		if s.PrefillTokens > 0 {
			busyP += d
		} else {
			busyD += d
		}
	}
	first := map[[2]int64]bool{} // a static batch shares its prefill
	for _, q := range out.Log.Requests {
		span := [2]int64{q.PrefillStartNS, q.FirstTokenNS}
		if first[span] {
			continue
		}
		first[span] = true
		ttftP += average(q.FirstTokenNS) * float64(q.FirstTokenNS-q.PrefillStartNS) / 1e9
	}
	total := out.Truth.Total
	// 10 Hz polling: a sample belongs to the phase of its step.
	at := 0
	for t := w.Start; t < w.End; t += 1e8 {
		for at < len(out.Log.Steps)-1 && out.Log.Steps[at].EndNS < t {
			at++
		}
		joules := (held(t) + held(t+1e8)) / 2 * 0.1
		if s := out.Log.Steps[at]; s.PrefillTokens > 0 {
			polledP += joules
		} else {
			polledD += joules
		}
	}
	prefill, decode = out.Truth.Prefill.Joules, out.Truth.Decode.Joules
	rel := func(p, d float64) [2]float64 { return [2]float64{p/prefill - 1, d/decode - 1} }
	return map[string][2]float64{
		"1 s average until the first token": rel(ttftP, total-ttftP),
		"10 Hz polling, trapezoid":          rel(polledP, polledD),
		"in proportion to time":             rel(total*busyP/(busyP+busyD), total*busyD/(busyP+busyD)),
	}
}

// TestAccuracy checks the targets on a part of the grid, or on all of it.
func TestAccuracy(t *testing.T) {
	library, err := sim.Build(t.Context(), t.TempDir())
	if errors.Is(err, sim.ErrUnavailable) {
		t.Skipf("SKIPPED: the fake driver library needs a C compiler and cgo: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []outcome
	began := time.Now()
	if *accuracySeeds == 0 {
		for i, p := range sim.Grid(1) {
			// With the race detector, which is eight times slower, use a part of the sample.
			if i%9 == 0 && (!testing.Short() || i%2 == 0) {
				all = append(all, simulate(t, library, p))
			}
		}
	}
	for seed := range *accuracySeeds {
		for _, p := range sim.Grid(uint64(seed + 1)) {
			all = append(all, simulate(t, library, p))
		}
	}
	table := accuracyTable(all)
	t.Logf("%d runs in %v\n%s", len(all), time.Since(began).Round(time.Second), table)
	if *accuracyOut != "" {
		if err := writeBetween(*accuracyOut, "accuracy", table); err != nil {
			t.Fatal(err)
		}
	}
	checkTargets(t, all)
}

func prefillOf(o outcome) error95 { return o.prefill }
func decodeOf(o outcome) error95  { return o.decode }
func totalOf(o outcome) error95   { return o.total }

func pick(all []outcome, want func(outcome) bool) []outcome {
	return slices.DeleteFunc(slices.Clone(all), func(o outcome) bool { return !want(o) })
}

func medianError(all []outcome, of func(outcome) error95) float64 {
	var v []float64
	for _, o := range all {
		if e := of(o); e.refused == "" {
			v = append(v, math.Abs(e.relative))
		}
	}
	return quantile(v, 0.5)
}

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

func coverage(all []outcome, of func(outcome) error95) (covered, n int) {
	for _, o := range all {
		if e := of(o); e.refused == "" {
			n++
			if e.covered {
				covered++
			}
		}
	}
	return covered, n
}

// accuracyTable is the Markdown for docs/accuracy.md.
func accuracyTable(all []outcome) string {
	var b bytes.Buffer
	row := func(name string, some []outcome) {
		if len(some) == 0 {
			return
		}
		var p95 []float64
		refused := 0
		for _, o := range some {
			if o.prefill.refused != "" {
				refused++
				continue
			}
			p95 = append(p95, math.Abs(o.prefill.relative))
		}
		cp, np := coverage(some, prefillOf)
		cd, nd := coverage(some, decodeOf)
		ct, nt := coverage(some, totalOf)
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %s | %s | %s | %d |\n", name, len(some),
			pct(medianError(some, prefillOf)), pct(quantile(p95, 0.95)), pct(medianError(some, decodeOf)),
			pct(medianError(some, totalOf)),
			share(cp, np), share(cd, nd), share(ct, nt), refused)
	}
	head := "| | runs | prefill, median error | prefill, 95 % of runs | decode, median | total, median | prefill " +
		"covered | decode covered | total covered | prefill refused |\n|---|---|---|---|---|---|---|---|---|---|\n"
	fmt.Fprintf(&b, "%d simulated runs.\n\n%s\nBy sensor:\n\n%s", len(all), targetTable(all), head)
	for _, k := range sim.SensorKinds {
		for _, batching := range []string{sim.Static, sim.Continuous} {
			row(k.Name+", "+batching,
				pick(all, func(o outcome) bool { return o.point.Sensor == k.Name && o.point.Batching == batching }))
		}
	}
	fmt.Fprintf(&b, "\nBy length of prefill, static batches, sensors with a ring:\n\n%s", head)
	for _, ms := range []time.Duration{5, 10, 20, 50, 100, 200, 500} {
		row(fmt.Sprintf("%d ms", ms), pick(all, func(o outcome) bool {
			return o.point.Prefill == ms*time.Millisecond && o.point.Batching == sim.Static &&
				strings.HasPrefix(o.point.Sensor, "ring")
		}))
	}
	fmt.Fprintf(&b, "\nBy number of decode steps, static batches, sensors with a ring:\n\n%s", head)
	for _, n := range []int{10, 50, 200, 500} {
		row(fmt.Sprint(n), pick(all, func(o outcome) bool {
			return o.point.DecodeSteps == n && o.point.Batching == sim.Static &&
				strings.HasPrefix(o.point.Sensor, "ring")
		}))
	}
	row("all", all)
	b.WriteString(naiveTable(all))
	return b.String()
}

func naiveTable(all []outcome) string {
	var b bytes.Buffer
	b.WriteString("\nWhat other methods would have printed for the same runs, from perfect sensors:\n\n" +
		"| method | static: prefill, median error | prefill, 95 % of runs | decode, median | continuous: prefill, " +
		"median | decode, median |\n|---|---|---|---|---|---|\n")
	var names []string
	for name := range all[0].naive {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var v [2][2][]float64
		for _, o := range all {
			i := 0
			if o.point.Batching == sim.Continuous {
				i = 1
			}
			e := o.naive[name]
			v[i][0] = append(v[i][0], math.Abs(e[0]))
			v[i][1] = append(v[i][1], math.Abs(e[1]))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", name, pct(quantile(v[0][0], 0.5)),
			pct(quantile(v[0][0], 0.95)), pct(quantile(v[0][1], 0.5)),
			pct(quantile(v[1][0], 0.5)), pct(quantile(v[1][1], 0.5)))
	}
	return b.String()
}

func pct(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}

func share(k, n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(k)/float64(n))
}

// writeBetween replaces the text between two marks of a file.
func writeBetween(path, mark, text string) error {
	begin, end := "<!-- "+mark+" table: begin -->\n", "<!-- "+mark+" table: end -->\n"
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, found := strings.Cut(rest, end)
	if !ok || !found {
		return fmt.Errorf("%s has no marks for the table", path)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
