package foreign

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

var update = flag.Bool("update", false, "write the golden files and the table of docs/metrics.md")

// sample is a run of two batches of two requests, measured on one GPU: all sent at 0 s; the first batch from 0 to 3 s
// with tokens at 1, 2 and 3 s, the second from 3 to 5 s with tokens at 4, 4.5 and 5 s. 450 J.
func sample() Run {
	const s = int64(1e9)
	x := &result.Record{ID: "0123456789ab", Cycle: 1, Status: result.OK, Program: "v1.0.0",
		Config: study.Experiment{Model: "m", Backend: "pytorch",
			Workload: study.Workload{InputTokens: 8, OutputTokens: 3, Prompts: 4}},
		Backend: result.Backend{Name: "pytorch", Version: "2", Device: "cuda"},
		Window: &result.Window{Start: time.Unix(1e9, 0), End: time.Unix(1e9+5, 0), StartMonoNS: 100 * s,
			EndMonoNS: 105 * s, DurationS: 5},
		Tokens: &result.Tokens{Prompt: 32, Output: 12, RequestsOK: 4},
		Timing: result.Timing{LoadS: 7}, Files: map[string]string{"requests": "requests.parquet"}}
	x.Energy = result.Energy{Provenance: result.Measured, Scope: "gpu", Sources: []string{"nvml.energy"},
		TotalJ: &result.Quantity{Value: 450, Source: "nvml.energy"},
		Phases: &result.Phases{Prefill: &result.Phase{EnergyJ: new(float64)}}}
	*x.Energy.Phases.Prefill.EnergyJ = 150
	run := Run{Study: "study", Record: x}
	for i := range 4 {
		start, at := int64(100)*s, []int64{101 * s, 102 * s, 103 * s}
		if i > 1 {
			start, at = 103*s, []int64{104 * s, 104*s + s/2, 105 * s}
		}
		arrived := 100 * s
		run.Requests = append(run.Requests, series.Request{ID: int64(i), ArrivedNS: &arrived, SubmittedNS: start,
			FirstTokenNS: at[0], EndNS: at[2], TokenNS: at, PromptTokens: 8, OutputTokens: 3, OK: true})
	}
	return run
}

// written is a document of the sample in a format.
func written(t *testing.T, f Format, r Run) map[string]any {
	t.Helper()
	text, err := Write(f, []Run{r})
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNumbers: numbers of each format follow from the requests by the definition of that format.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for f, want := range map[Format]map[string]float64{
		// TTFT 1, 1, 4, 4 s; latency 3, 3, 5, 5 s; TPOT 1, 1, 0.5, 0.5 s; gaps four times 1 s and 0.5 s.
		VLLMBench: {"duration": 5, "completed": 4, "output_throughput": 2.4, "total_token_throughput": 8.8,
			"mean_ttft_ms": 2500, "median_ttft_ms": 2500, "p99_ttft_ms": 4000, "std_ttft_ms": 1500,
			"mean_tpot_ms": 750, "mean_itl_ms": 750, "mean_e2el_ms": 4000, "max_output_tokens_per_s": 4,
			"max_concurrent_requests": 4},
		AIPerf: {"time_to_first_token.avg": 2500, "inter_token_latency.avg": 750, "inter_chunk_latency.count": 8,
			"time_to_second_token.avg": 750, "request_latency.p50": 4000, "benchmark_duration.avg": 5,
			"output_token_throughput_per_user.avg": 1.5, "nvidia_total_gpu_energy.avg": 450,
			"nvidia_energy_per_output_token.avg": 37500, "nvidia_energy_per_request.avg": 112.5,
			"nvidia_average_gpu_power.avg": 90, "nvidia_energy_delay_product.avg": 450,
			"nvidia_output_tokens_per_joule.avg": 12.0 / 450},
		// The first token counts where the whole request is divided by its tokens: 1, 1, 5/3, 5/3 s.
		GuideLLM: {"metrics.time_per_output_token_ms.successful.mean": 4000.0 / 3,
			"metrics.inter_token_latency_ms.successful.mean":            750,
			"metrics.time_to_first_token_ms.successful.median":          1000,
			"metrics.time_to_first_token_ms.successful.percentiles.p99": 4000,
			"metrics.request_latency.successful.mean":                   4, "metrics.request_totals.successful": 4,
			"metrics.request_concurrency.successful.mean": 3.2, "duration": 5},
		// Calls of a batch of two: 3 s and 2 s, of which 1 s each before the first token.
		Optimum: {"report.generate.latency.mean": 2.5, "report.prefill.latency.mean": 1,
			"report.decode.latency.mean": 1.5, "report.per_token.latency.mean": 0.75,
			"report.generate.throughput.value": 0.8, "report.decode.throughput.value": 4 / 1.5,
			"report.generate.energy.total": 225 / 3.6e6, "report.prefill.energy.gpu": 75 / 3.6e6,
			"report.decode.energy.total": 150 / 3.6e6, "report.load_model.latency.mean": 7,
			"report.generate.efficiency.value": 2 / (225 / 3.6e6)},
	} {
		d := written(t, f, sample())
		if f == GuideLLM {
			d = d["benchmarks"].([]any)[0].(map[string]any)
		}
		for path, v := range want {
			if got, ok := at(d, strings.Split(path, ".")).(float64); !ok || math.Abs(got-v) > 1e-4*v {
				t.Errorf("%s: %s is %v, want %g", f, path, at(d, strings.Split(path, ".")), v)
			}
		}
	}
}

// TestGolden: the files as a whole, so that no key is lost or renamed.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		text, err := Write(f, []Run{sample()})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", string(f)+".golden")
		if *update {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || string(want) != string(text) {
			t.Errorf("%s is not what is written (%v): look at the difference after -update", path, err)
		}
	}
}

// TestLeftOut: energy that was not measured is not in the file of a program that measures, a closed loop has no
// batches, and a failed request is counted and has no times.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Record.Energy.Provenance = result.Modelled
	r.Record.Config.Workload.Concurrency = 2
	r.Requests[3].OK, r.Requests[3].Failure = false, "reset"
	r.Record.Tokens.RequestsFailed = 1
	for f, empty := range map[Format][]string{
		AIPerf:  {"nvidia_total_gpu_energy", "nvidia_energy_per_output_token"},
		Optimum: {"report.generate.energy", "report.generate.latency", "report.per_token"},
	} {
		d := written(t, f, r)
		for _, path := range empty {
			if v := at(d, strings.Split(path, ".")); v != nil {
				t.Errorf("%s: %s is %v, want nothing", f, path, v)
			}
		}
	}
	d := written(t, VLLMBench, r)
	if d["completed"] != 3.0 || d["failed"] != 1.0 || d["max_concurrency"] != 2.0 ||
		fmt.Sprint(d["errors"]) != "[   reset]" || fmt.Sprint(d["output_lens"]) != "[3 3 3 0]" {
		t.Errorf("completed %v, failed %v, concurrency %v, errors %v, lengths %v", d["completed"], d["failed"],
			d["max_concurrency"], d["errors"], d["output_lens"])
	}
	if v := at(written(t, AIPerf, r), []string{"error_request_count", "avg"}); v != 1.0 {
		t.Errorf("error_request_count %v, want 1", v)
	}
	if got := Writable(&result.Record{Status: result.Failed, Failure: &note.Failure{}}); got == "" {
		t.Error("a failed run can be written")
	}
}

// others are the documents of the sample without the mark of llem: as others would have written them.
func others(t *testing.T, f Format) string {
	t.Helper()
	text, err := Write(f, []Run{sample()})
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), `"measured_by": "llem"`, `"someone": "else"`)
}

// TestRead: what is read has llem's names and units, and energy only where the file states it.
func TestRead(t *testing.T) {
	t.Parallel()
	for f, want := range map[Format]map[string]float64{
		VLLMBench: {oursOut: 2.4, oursTTFT + ".mean": 2500, oursITL + ".p50": 750, oursTPOT + ".mean": 750},
		AIPerf:    {oursTPOT + ".mean": 750, oursJ: 450, "energy.per_output_token_j": 37.5},
		GuideLLM:  {oursE2E + ".mean": 4000, "tokens.output": 12},
		Optimum:   {oursITL + ".mean": 750, "timing.load_s": 7},
	} {
		found, err := Read("file", []byte(others(t, f)))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d results, %v", f, len(found), err)
		}
		n := found[0]
		got := map[string]float64{}
		for _, v := range n.Values {
			if v.Metric != "" {
				got[v.Metric] = *v.Converted
			}
		}
		for name, v := range want {
			if math.Abs(got[name]-v) > 1e-4*v {
				t.Errorf("%s: %s is %g, want %g", f, name, got[name], v)
			}
		}
		if n.Format != f || n.MeasuredBy != f.Tool() || (n.EnergyJ == nil) != (f != AIPerf) ||
			(n.EnergyJ == nil) != (n.EnergyReason != "") {
			t.Errorf("%s: %+v", f, n)
		}
	}
	lines := strings.ReplaceAll(others(t, VLLMBench), "\n", " ")
	if found, err := Read("file", []byte(lines+"\n"+lines)); err != nil || len(found) != 2 || found[1].Benchmark != 2 {
		t.Errorf("two appended results: %d, %v", len(found), err)
	}
}

// TestBadFiles: each mistake is explained with what, where and the next step.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	vllm, glm := others(t, VLLMBench), others(t, GuideLLM)
	cut := func(text string) string { return text[:len(text)/2] }
	replace := func(text, old, now string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the document", old)
		}
		return strings.Replace(text, old, now, 1)
	}
	ours, err := Write(VLLMBench, []Run{sample()})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct{ text, want string }{
		{"", "is empty"},
		{"[1, 2]", "a JSON array, not an object"},
		{"time,power\n1,2\n", "is not JSON"},
		{`{"a": 1}`, "is not a result of a benchmark that llem knows"},
		{cut(vllm), "ends in the middle, after"},
		{cut(glm), "ends in the middle, after"},
		{string(ours), "was written by llem"},
		{`{"schema_version": 1, "id": "a", "cycle": 1, "energy": {}}`, "is a result of llem itself"},
		{replace(vllm, `"mean_ttft_ms": 2500`, `"mean_ttft_ms": NaN`), "has NaN in line"},
		{replace(vllm, `"mean_ttft_ms": 2500`, `"mean_ttft_ms": -Infinity`), "has -Infinity in line"},
		{replace(vllm, `"mean_ttft_ms": 2500`, `"mean_ttft_ms": "fast"`), "mean_ttft_ms is not a number"},
		{replace(vllm, `"mean_ttft_ms": 2500`, `"mean_ttft_ms": -1`), "mean_ttft_ms is -1, below zero"},
		{replace(vllm, `"output_throughput"`, `"gone"`), "lacks output_throughput"},
		{replace(glm, `"version": 2`, `"version": 1`), "metadata.version 1 of GuideLLM is not known"},
		{`{"metadata": {"version": 2, "guidellm_version": "1"}, "benchmarks": []}`, "has no finished benchmark"},
		{`{"metadata": {"version": 2, "guidellm_version": "1"}, "benchmarks": [7]}`, "benchmark 1 has the form"},
		{replace(others(t, AIPerf), `"schema_version": "1.4"`, `"schema_version": "2.0"`),
			"schema_version 2.0 of AIPerf is not known"},
		{`{"aiperf_version": "1"}`, "lacks request_throughput.avg"},
		{`{"generate": {"latency": null}}`, "has none of the numbers of optimum-benchmark"},
	} {
		_, err := Read("name.json", []byte(q.text))
		m, ok := errors.AsType[*Mistake](err)
		if !ok || !strings.Contains(m.What, q.want) || !strings.Contains(m.What, "name.json") || m.Next == "" {
			t.Errorf("%.60q: %v, want %q and a next step", q.text, err, q.want)
		}
	}
}

// TestFolder: numbers are read back as they were written, two files of one name are both kept, and a change of a copy
// is found.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files []string
	for i, f := range []Format{VLLMBench, AIPerf} {
		path := filepath.Join(dir, fmt.Sprint(i), "r.json")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(others(t, f)), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	results := filepath.Join(dir, "results")
	i, err := Import(files, results, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Import(files[:1], results, time.Unix(1e9, 0))
	if err != nil || second.Dir == i.Dir {
		t.Fatalf("a second import in the same second: %v", err)
	}
	read, err := Open(i.Dir)
	if err != nil || !IsImported(i.Dir) || len(read.Results) != 2 || read.Results[0].File == read.Results[1].File {
		t.Fatalf("%+v, %v", read, err)
	}
	if again, err := read.Again(); err != nil || len(again) != 2 {
		t.Errorf("%d results again, %v", len(again), err)
	}
	copied := filepath.Join(i.Dir, copies, "r.json")
	if err := os.WriteFile(copied, []byte(strings.Replace(others(t, VLLMBench), "2500", "2501", 1)),
		0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Again(); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("a changed copy: %v", err)
	}
	if err := os.WriteFile(filepath.Join(i.Dir, ImportedFile), []byte(`{"schema_version": 9}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(i.Dir); err == nil || !strings.Contains(err.Error(), "schema_version 9") {
		t.Errorf("a later schema: %v", err)
	}
}

// TestDefinitions: llem's names are metrics, and docs/metrics.md has the table.
func TestDefinitions(t *testing.T) {
	var b strings.Builder
	b.WriteString("| format | theirs | unit | llem's | how theirs differs |\n|---|---|---|---|---|\n")
	for _, d := range Definitions() {
		name := d.Ours
		if d.Key("mean") != "" && name != "" {
			name += ".mean"
		}
		if name != "" {
			if m, err := metric.Find(name); err != nil {
				t.Errorf("%s %s: %v", d.Format, d.Path, err)
			} else if m < 0 {
				t.Errorf("%s %s: no metric %s", d.Format, d.Path, name)
			}
		}
		ours, differs := "–", d.Differs
		if d.Ours != "" {
			ours = "`" + d.Ours + "`"
		}
		if d.Apart {
			differs += "; never compared"
		}
		path := strings.ReplaceAll(d.Path, "%s", "…")
		if strings.HasPrefix(path, "%s_") {
			path = "…" + path[2:]
		}
		if strings.HasPrefix(d.Path, "amd_") {
			continue
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", d.Format, path, d.Unit, ours, differs)
	}
	const path, from, to = "../../docs/metrics.md", "<!-- others: begin -->\n", "<!-- others: end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), from)
	table, after, end := strings.Cut(rest, to)
	if !ok || !end {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+from+b.String()+to+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != b.String() {
		t.Errorf("the table of %s is not as in the code: run the test with -update", path)
	}
}

// TestLoads: of a load everything is written, with ramp and drain, and without the earlier probes of a search; requests
// begin when they were sent, and the time that they waited in the client is given, too.
func TestLoads(t *testing.T) {
	t.Parallel()
	const s = int64(1e9)
	r := sample()
	w := &r.Record.Config.Workload
	w.Load = study.Arrivals{Kind: "gamma", Rate: 2, CV: 2}
	w.SLO = study.SLO{TTFTMS: 1000, TPOTMS: 800}
	own, earlier := int64(1), int64(0)
	r.Record.Load = &result.Load{StartMonoNS: 98 * s, EndMonoNS: 108 * s, RampS: 2, DrainS: 3,
		RampJ: &result.Quantity{Value: 50}, DrainJ: &result.Quantity{Value: 100}, OfferedRPS: 2,
		Search: &result.Search{Probes: make([]result.Probe, 1)}}
	for i := range r.Requests {
		r.Requests[i].Point = &own
	}
	probe := r.Requests[0]
	probe.Point = &earlier
	r.Requests = append(r.Requests, probe)
	d := written(t, VLLMBench, r)
	for key, want := range map[string]any{"completed": 4.0, "duration": 10.0, "request_rate": 2.0, "burstiness": 0.25,
		"request_goodput": 0.2, "queue_times": []any{0.0, 0.0, 3.0, 3.0}, "mean_client_queue_time_ms": 1500.0,
		"mean_e2el_including_client_queue_ms": 4000.0, "mean_e2el_ms": 2500.0} {
		if got := d[key]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for path, want := range map[string]float64{"nvidia_total_gpu_energy.avg": 600, "nvidia_average_gpu_power.avg": 60,
		"good_request_count.avg": 2, "nvidia_goodput_per_watt.avg": 2. / 5 / 60} {
		if got, ok := at(written(t, AIPerf, r), strings.Split(path, ".")).(float64); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %g", path, got, want)
		}
	}
	e := written(t, Endpoints, r)
	if e["system_tps"] != 1.2 || at(e, []string{"energy", "total_energy_joules"}) != 600.0 ||
		at(e, []string{"tpot", "percentiles", "90"}) != 1e9 || e["tps_per_user"] != 1.0 {
		t.Errorf("%v", e)
	}
	r.Record.Load.DrainJ = nil
	if v := written(t, Endpoints, r)["energy"]; v != nil {
		t.Errorf("energy %v without the drain's", v)
	}
	p := at(written(t, GuideLLM, r)["benchmarks"].([]any)[0].(map[string]any),
		[]string{"config", "strategy", "type_"})
	if p != "poisson" {
		t.Errorf("strategy %v", p)
	}
}
