package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestNames: labels tell runs apart, and what they share is said once.
func TestNames(t *testing.T) {
	s := sweep()
	n := view.NameRuns(s, s.Runs)
	if got, want := n.Common(), "random:llama-3.1-8b · pytorch · 64 prompts · 512 in · 128 out"; got != want {
		t.Errorf("common = %q, want %q", got, want)
	}
	if got, want := n.Called(4), "auto batch_size=1, cycle 1"; got != want {
		t.Errorf("label = %q, want %q", got, want)
	}
	if got, want := strings.Join(n.Cells(4), " "), "auto (bfloat16) 1 1"; got != want {
		t.Errorf("values = %q, want %q: what was asked for and what the engine used", got, want)
	}
}

// TestTypesOfEngines: where engines differ in type and batch without a key that varies, the table shows both.
func TestTypesOfEngines(t *testing.T) {
	a, b := measuredGPU(), modelledCPU()
	n := view.NameRuns(&result.StudyResult{}, []*result.Record{a, b})
	i := slices.Index(n.AllHeads(), "dtype")
	if i < 0 || n.Cells(0)[i] != "bfloat16" || n.Cells(1)[i] != "float16" {
		t.Errorf("%q: %q and %q", n.AllHeads(), n.Cells(0), n.Cells(1))
	}
	if i = slices.Index(n.AllHeads(), "batch"); i < 0 || n.Cells(0)[i] != "8" || n.Cells(1)[i] != "1" {
		t.Errorf("%q: %q and %q", n.AllHeads(), n.Cells(0), n.Cells(1))
	}
}

// serverStudy varies keys of a server, of decoding, of the load and of the measurement.
const serverStudy = `
model: random:llama-3.1-8b
backend: vllm
decoding: {temperature: 0.7}
sweep:
  vllm.enable_chunked_prefill: [true, false]
  vllm.gpu_memory_utilization: [0.5, 0.9]
  vllm.max_num_seqs: [8, 64]
  workload.concurrency: [4, 32]
  decoding.top_p: [0.5, 0.9]
  decoding.top_k: [0, 50]
  energy.min_window: [5, 50]
`

// swept is the result of a study in which every run went well.
func swept(t *testing.T, text string) *result.StudyResult {
	t.Helper()
	s, err := study.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := &result.StudyResult{Name: "swept", Planned: len(s.Experiments), OK: len(s.Experiments), Complete: true}
	for _, e := range s.Experiments {
		r := measuredGPU()
		r.ID, r.Config, r.Backend.Name = e.ID(), e, e.Backend
		sum := result.ExperimentSummary{ID: r.ID, Config: e, OK: 1, Status: result.OK, DType: "bfloat16",
			Provenance: result.Measured}
		if err := json.Unmarshal([]byte(`{"throughput.output_tokens_per_s":{"n":1,"mean":330},`+
			`"energy.per_output_token_j":{"n":1,"mean":1.3}}`), &sum.Metrics); err != nil {
			t.Fatal(err)
		}
		out.Runs, out.Experiments = append(out.Runs, r), append(out.Experiments, sum)
		out.Rows = append(out.Rows, result.Row{ID: r.ID, Cycle: 1, Status: result.OK})
	}
	return out
}

// TestEveryRowIsNamed: whatever a study varies, each row of each table shows its values, and no row is called by a
// number.
func TestEveryRowIsNamed(t *testing.T) {
	s := swept(t, serverStudy)
	n := view.Naming(s)
	if len(n.Columns) != 7 {
		t.Fatalf("columns %q, want 7", n.Heads())
	}
	repeated := *s
	repeated.Experiments = slices.Clone(s.Experiments)
	for i := range repeated.Experiments {
		repeated.Experiments[i].OK = 2
	}
	figures := regexp.MustCompile(`(330 212 ms|2 330 1\.30 J).*?measured`)
	for what, r := range map[string]*result.StudyResult{"runs": s, "experiments": &repeated} {
		for _, columns := range []int{80, 100, 200} {
			text := render(t, Terminal{Columns: columns, Width: 80, Limit: -1}, r)
			rows := strings.Join(strings.Fields(text[strings.Index(text, "\n\n"):]), " ")
			rows = strings.Join(strings.Fields(figures.ReplaceAllString(rows, "")), " ")
			for _, e := range s.Experiments {
				var pairs []string
				for i, v := range n.Values(e.Config) {
					pairs = append(pairs, n.Heads()[i]+"="+v)
				}
				if !strings.Contains(rows, strings.Join(pairs, " ")) &&
					!strings.Contains(rows, strings.Join(n.Values(e.Config), " ")+" ") {
					t.Fatalf("%s in %d columns: no row %q in\n%s", what, columns, pairs, text)
				}
			}
			for line := range strings.SplitSeq(text, "\n") {
				if w := table.Width(line); w > columns {
					t.Errorf("%s: %d of %d columns: %s", what, w, columns, line)
				}
			}
		}
	}
	var md bytes.Buffer
	if err := (Terminal{Limit: -1}).Markdown(&md, s); err != nil {
		t.Fatal(err)
	}
	if want := "| " + strings.Join(n.Values(s.Experiments[5].Config), " | ") +
		" | 1 |"; !strings.Contains(md.String(), want) {
		t.Errorf("no row %q in\n%s", want, md.String())
	}
}

// TestCSVBeginsWithTheKeys that vary, each once.
func TestCSVBeginsWithTheKeys(t *testing.T) {
	var b bytes.Buffer
	if err := CSV(&b, swept(t,
		"model: random:tiny-llama\nsweep: {backend: [embedded, pytorch], dtype: [float16, auto], "+
			"workload.prompts: [2, 4]}\n"), -1); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(rows[0][:9], ","),
		"backend,dtype_asked,prompts,id,model,dtype,batch_size,input_tokens,output_tokens"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	seen := map[string]bool{}
	for _, r := range rows[1:] {
		if key := fmt.Sprint(r[:3]); seen[key] {
			t.Errorf("two rows are %s", key)
		} else {
			seen[key] = true
		}
	}
}

// TestBest: the answer is a table of configurations by their keys.
func TestBest(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: vllm\nsweep: {workload.concurrency: [4, 32]}\n")
	const metric = "energy.per_output_token_j"
	c, err := s.Best(metric)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := (Terminal{}).Best(&b, Best{Study: s, Metric: metric, Choice: c}); err != nil {
		t.Fatal(err)
	}
	want := "best J/out\n" +
		"  concurrency            id   J/out  95 %  runs\n" +
		"  4            " + s.Experiments[0].ID + "  1.30 J     –     1  best\n" +
		"  32           " + s.Experiments[1].ID + "  1.30 J     –     1  not separable\n" +
		"  one run: its spread is unknown\n"
	if b.String() != want {
		t.Errorf("\n%s\nwant\n%s", b.String(), want)
	}
}

// TestDiffering: a comparison begins with what the two sides differ in, whether or not a study can vary it.
func TestDiffering(t *testing.T) {
	a, b := measuredGPU().Config, measuredGPU().Config
	b.Model, b.Container.Image = "random:llama-3.2-1b-with-a-very-long-name", "vllm/vllm-openai:v2"
	c := &Comparison{Pair: Pair{A: "one", B: "two", Differ: Differing(a, b)}, Comparison: &compare.Comparison{
		Metrics: []compare.Metric{{Name: "energy.mean_w", Unit: "W", A: 445, B: 440, NA: 1, NB: 1}}}}
	var out strings.Builder
	if err := c.Text(Terminal{}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"model            random:…a-3.1-8b  random:…ong-name", "container.image"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
