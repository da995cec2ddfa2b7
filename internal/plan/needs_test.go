package plan

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

func estimator(t *testing.T, gpu string) *Estimator {
	t.Helper()
	e, err := NewEstimator(gpu, nil, &host.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// needs estimates all points of a study.
func needs(t *testing.T, e *Estimator, text string) []*Need {
	t.Helper()
	var out []*Need
	for _, x := range parse(t, text).Experiments {
		n, reason := e.Need(x)
		if n == nil {
			t.Fatalf("%s: %s", x.Label(), reason)
		}
		out = append(out, n)
	}
	return out
}

// TestServerSections: the settings of a server change what is estimated for it.
func TestServerSections(t *testing.T) {
	const head = "model: random:llama-3.1-70b\nworkload: {dataset: synthetic, prompts: 64, input_tokens: 2048, " +
		"output_tokens: 128}\n"
	for name, q := range map[string]struct {
		text string
		less func(a, b *Need) bool // the second value needs less
	}{
		"tensor parallel": {"backend: vllm\nsweep: {vllm.tensor_parallel_size: [1, 4]}", func(a, b *Need) bool {
			return 3*b.Bytes < a.Bytes && b.Devices == 4 && b.Fits && !a.Fits
		}},
		"pipeline": {"backend: vllm\nsweep: {vllm.pipeline_parallel_size: [1, 4]}",
			func(a, b *Need) bool { return 3*b.Bytes < a.Bytes && b.Devices == 4 }},
		"copies": {"backend: vllm\nvllm: {max_num_seqs: 8, tensor_parallel_size: 4}\nsweep: " +
			"{vllm.data_parallel_size: [1, 2]}", func(a,
			b *Need) bool {
			return b.Seconds < a.Seconds && b.Devices == 8
		}},
		"quantisation": {"backend: vllm\nsweep: {vllm.quantization: [fp8, awq]}",
			func(a, b *Need) bool { return b.Bytes < a.Bytes && b.Seconds != a.Seconds }},
		"cache type": {"backend: sglang\nsweep: {sglang.kv_cache_dtype: [auto, fp8_e4m3]}",
			func(a, b *Need) bool { return b.Bytes < a.Bytes && b.Seconds < a.Seconds }},
		"pool": {"backend: vllm\nvllm: {quantization: awq}\nsweep: {vllm.gpu_memory_utilization: " +
			"[0.9, 0.5]}", func(a, b *Need) bool { return b.DeviceBytes < a.DeviceBytes }},
		"pool too small": {"backend: vllm\nvllm: {quantization: fp8}\nsweep: {vllm.gpu_memory_utilization: " +
			"[0.9, 0.3]}", func(a, b *Need) bool { return a.Fits && !b.Fits }},
		"cache of given size": {"backend: vllm\nvllm: {quantization: awq}\nsweep: {vllm.kv_cache_memory_bytes: " +
			"[60000000000, 1000000000]}", func(a, b *Need) bool {
			return a.Fits && !b.Fits && b.DeviceBytes < a.DeviceBytes && strings.Contains(b.Next, "reduce the batch to")
		}},
		"chunk": {"backend: tensorrt\ntensorrt: {enable_chunked_prefill: true}\n" +
			"sweep: {tensorrt.max_num_tokens: [16384, 1024]}",
			func(a, b *Need) bool { return b.Bytes < a.Bytes }},
		"llama.cpp": {"backend: llamacpp\ndtype: q4_0\nsweep: {llamacpp.cache_type_k: [f16, q4_0]}",
			func(a, b *Need) bool { return b.Bytes < a.Bytes }},
		"slots": {"backend: llamacpp\ndtype: q4_0\nsweep: {llamacpp.parallel: [64, 1]}",
			func(a, b *Need) bool { return b.Bytes < a.Bytes }},
		"on the host": {"backend: llamacpp\ndtype: q4_0\nsweep: {llamacpp.n_gpu_layers: [all, 0]}",
			func(a, b *Need) bool { return a.Device != b.Device }},
	} {
		n := needs(t, estimator(t, "h200"), head+q.text)
		if len(n) != 2 || !q.less(n[0], n[1]) {
			t.Errorf("%s: %+v and %+v", name, n[0], n[len(n)-1])
		}
	}
}

// TestEngineDecidesOnBatch: a server without a given batch size runs all prompts together.
func TestEngineDecidesOnBatch(t *testing.T) {
	n := needs(t, estimator(t, "h200"),
		"model: random:llama-3.1-8b\nbackend: vllm\nworkload: {dataset: synthetic, prompts: 64}\nexperiments: "+
			"[{}, {vllm.max_num_seqs: 64}, {vllm.max_num_seqs: 1}]")
	if n[0].Seconds != n[1].Seconds || n[2].Seconds < 1.2*n[0].Seconds {
		t.Errorf("%g, %g and %g s", n[0].Seconds, n[1].Seconds, n[2].Seconds)
	}
}

// TestTooFewGPUs: a machine with one GPU cannot share a model among four.
func TestTooFewGPUs(t *testing.T) {
	name := "NVIDIA H200"
	e, err := NewEstimator("", map[string]sensor.GPUFacts{"gpu0": {Name: &name}}, &host.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	n := needs(t, e, "model: random:llama-3.1-8b\nbackend: vllm\nvllm: {tensor_parallel_size: 4}\n")
	if n[0].Fits || n[0].Why != "needs 4 GPUs, but this machine has 1" || n[0].Next != "lower "+
		"vllm.tensor_parallel_size or vllm.pipeline_parallel_size or vllm.data_parallel_size, or use another machine" {
		t.Errorf("%+v", n[0])
	}
}

// TestHintsNameKeys: what makes a run fit names the key to set; the table has the memory that the error has.
func TestHintsNameKeys(t *testing.T) {
	const large = "model: random:llama-3.1-70b\nworkload: {prompts: 8}\n"
	for _, q := range []struct{ text, next string }{
		{large + "backend: vllm", "share it among 2 devices (vllm.tensor_parallel_size: 2), "},
		{large + "backend: tensorrt", "share it among 2 devices (tensorrt.tensor_parallel_size: 2), "},
		{large + "backend: llamacpp", "use a narrower dtype"}, // estimates know none of its keys
		{"model: random:qwen2.5-32b\nbackend: sglang\nsglang: {max_running_requests: 512}\n" +
			"workload: {prompts: 512, input_tokens: 2048}", "(sglang.max_running_requests: "},
		{"model: random:llama-3.1-8b\nbackend: vllm\nvllm: {kv_cache_memory_bytes: 1000}\nworkload: {prompts: 8}",
			"raise vllm.kv_cache_memory_bytes"},
		{"model: random:llama-3.1-70b\nbackend: vllm\nvllm: {kv_cache_memory_bytes: 100000000000}\n" +
			"workload: {prompts: 8}", "lower vllm.kv_cache_memory_bytes"},
	} {
		s := parse(t, q.text)
		e := estimator(t, "h100")
		n, reason := e.Need(s.Experiments[0])
		if n == nil || n.Fits || !strings.Contains(n.Next, q.next) || strings.Contains(n.Next, "batch to 0") {
			t.Errorf("%s\n%+v %s", q.text, n, reason)
			continue
		}
		var b strings.Builder
		p := New(Options{Study: s, Limit: 1, Estimate: e.Need, Problems: []Problem{{
			Finding{Error: true, Note: note.Note{Message: "no torch"}, Short: "engine"},
			func(study.Experiment) bool { return true }}}})
		b.WriteString(p.table(120))
		if !strings.Contains(b.String(), "no: engine, memory") {
			t.Errorf("not both reasons:\n%s", b.String())
		}
		if memory := digits.Bytes(n.Needed).String(); !strings.Contains(b.String(), memory) ||
			strings.Contains(n.Why, "needs ") && !strings.Contains(n.Why, "a KV cache") &&
				!strings.Contains(n.Why, "needs "+memory) {
			t.Errorf("%s: %s\n%s", memory, n.Why, b.String())
		}
	}
}

// TestObjectionsConcern: objections stop only the points that request what the GPU cannot do.
func TestObjectionsConcern(t *testing.T) {
	s := parse(t, "model: random:llama-3.2-1b\nbackend: [vllm, embedded]\nsweep: {dtype: [float16, bfloat16]}\n")
	p := New(Options{Study: s, Problems: estimator(t, "v100").Objections(s.Experiments)})
	if p.Runnable != 3 || len(p.Findings) != 1 ||
		!strings.Contains(p.Findings[0].Message,
			"V100 SXM2 32GB (compute capability 7.0) does not compute in bfloat16") {
		t.Errorf("%d runnable, %+v", p.Runnable, p.Findings)
	}
}

// TestObjectionsOfOtherCards: the capability counts, even of a card that is not in the catalogue.
func TestObjectionsOfOtherCards(t *testing.T) {
	name, capability := "Quadro RTX 5000", "7.5"
	e, err := NewEstimator("", map[string]sensor.GPUFacts{"gpu0": {Name: &name, ComputeCapability: &capability}},
		&host.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	got := e.Objections(parse(t,
		"model: random:llama-3.2-1b\nbackend: pytorch\npytorch.attn_implementation: flash_attention_2\n").Experiments)
	if len(got) != 2 || got[0].Error || !got[1].Error ||
		!strings.HasPrefix(got[1].Message, "Quadro RTX 5000 (compute capability 7.5) does not run flash_attention_2") {
		t.Errorf("%+v", got)
	}
}

// TestSample: a study with more points than are estimated still has totals.
func TestSample(t *testing.T) {
	s := parse(t, "model: random:llama-3.2-1b\nbackend: vllm\nsweep: {workload.input_tokens: 1..50, "+
		"workload.output_tokens: 1..100}\nexecution: {order: sequential}\n")
	e := estimator(t, "h200")
	p := New(Options{Study: s, Limit: 3, Estimate: e.Need, Sample: e.Sample(s.Experiments)})
	if p.Totals == nil || p.Totals.Sample != mostEstimates || len(p.Shown) != 3 || p.Shown[1].Need == nil ||
		p.Runnable != 5000 {
		t.Fatalf("totals %+v, %d shown, %d runnable", p.Totals, len(p.Shown), p.Runnable)
	}
	exact := 0.0
	for _, x := range s.Experiments {
		n, _ := e.Need(x)
		exact += n.Seconds
	}
	if d := p.Totals.Seconds/exact - 1; d < -0.01 || d > 0.01 {
		t.Errorf("%g s of %g s", p.Totals.Seconds, exact)
	}
	if text := textOf(t, p, 0); !strings.Contains(text, "from a sample of 2000 points") {
		t.Errorf("no mention of the sample in\n%s", text)
	}
	if few := parse(t, "model: random:llama-3.2-1b\nbackend: vllm\nsweep: {seed: 1..5000}\n"); e.Sample(
		few.Experiments) != 0 {
		t.Error("points that differ in a seed are one estimate")
	}
}

func textOf(t *testing.T, p *Plan, width int) string {
	t.Helper()
	var b strings.Builder
	if err := p.Text(&b, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBases: totals name every basis with its device.
func TestBases(t *testing.T) {
	s := parse(t, "model: random:llama-3.2-1b\nbackend: [pytorch, embedded]\n")
	p := New(Options{Study: s, Estimate: estimator(t, "h200").Need})
	if b := p.Totals.Basis; !strings.HasPrefix(b, "roofline, for H200 SXM; roofline, for processor with") {
		t.Errorf("basis %q", b)
	}
	if r := p.Totals.SecondsRange; r[0] >= p.Totals.Seconds || r[1] <= p.Totals.Seconds {
		t.Errorf("%g s within %v", p.Totals.Seconds, r)
	}
}

// TestWideTable: with many axes no line of the table is wider than the terminal, and keys are shortened if that is
// unambiguous.
func TestWideTable(t *testing.T) {
	s := parse(t, `
model: random:llama-3.2-1b
backend: vllm
sweep:
  dtype: [float16, bfloat16]
  vllm.max_num_seqs: [8, 16]
  vllm.max_num_batched_tokens: [4096, 8192]
  vllm.kv_cache_dtype: [auto, fp8]
  vllm.gpu_memory_utilization: [0.5, 0.9]
  workload.output_tokens: [32, 64]
`)
	p := New(Options{Study: s, Limit: 4, Estimate: estimator(t, "h200").Need})
	for _, width := range []int{60, 80, 200} {
		text := textOf(t, p, width)
		table := text[strings.Index(text, "\n\n"):strings.Index(text, "… and")]
		for line := range strings.SplitSeq(table, "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("width %d: a line of %d", width, n)
			}
		}
		if strings.Contains(table, "vllm.kv_cache_dtype") || !strings.Contains(table, "kv_cache_dtype") {
			t.Errorf("width %d: keys in\n%s", width, table)
		}
	}
}

// TestDuplicates: duplicates are named.
func TestDuplicates(t *testing.T) {
	p := New(Options{Study: parse(t, "model: random:tiny-llama\nbackend: fake\nsweep: {fake.batch_size: [1, 2, 2]}\n")})
	if len(p.Duplicates) != 1 || !strings.Contains(textOf(t, p, 0), "fake.batch_size=2: in the run of "+p.Shown[1].ID) {
		t.Errorf("%+v in\n%s", p.Duplicates, textOf(t, p, 0))
	}
}

// TestDatasets: a point is judged by its own prompts.
func TestDatasets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.jsonl")
	if err := os.WriteFile(path, []byte("{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := parse(t, "model: random:tiny-llama\nworkload.dataset: "+path+
		"\nsweep: {workload.prompts: [1, 2, 3], workload.input_tokens: [2, 64]}\n")
	problems := Datasets(s)
	p := New(Options{Study: s, Problems: problems})
	if p.Runnable != 4 || len(p.Findings) != 2 ||
		!strings.Contains(p.Findings[0].Message, "has 2 prompts, but up to 3 are requested") ||
		p.Findings[1].Error || !strings.Contains(p.Findings[1].Message, "its longest prompt has 3 bytes") {
		t.Errorf("%d runnable, %+v", p.Runnable, p.Findings)
	}
	if got := Datasets(parse(t, "model: random:tiny-llama\nworkload.dataset: none.jsonl\n")); len(got) != 1 ||
		!strings.Contains(got[0].Message, "none.jsonl") {
		t.Errorf("a missing file: %+v", got)
	}
}

// TestTemplates: points that need a chat template which the model's folder does not have are reported before the
// run, and only they; a template may make prompts as long as required.
func TestTemplates(t *testing.T) {
	dir := t.TempDir()
	tiny, err := shape.Lookup("tiny-llama")
	if err == nil {
		err = errors.Join(model.WriteHFDir(dir, tiny.Config, gguf.BFloat16),
			os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), []byte("weights"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := parse(t, "model: "+dir+"\nbackend: pytorch\nworkload.input_tokens: 4000\n"+
		"sweep: {workload.chat_template: [none, model]}\n")
	found, err := Models(t.Context(), s, estimator(t, "h200"))
	if err != nil || len(found) != 1 || !found[0].Error ||
		!strings.Contains(found[0].Message, "has no chat template") ||
		found[0].Concerns(s.Experiments[0]) || !found[0].Concerns(s.Experiments[1]) {
		t.Errorf("%+v, %v", found, err)
	}
	short := Datasets(s)
	if len(short) != 1 || !short[0].Concerns(s.Experiments[0]) || short[0].Concerns(s.Experiments[1]) {
		t.Errorf("%+v", short)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := Models(t.Context(), s, estimator(t, "h200")); err != nil || len(found) != 0 {
		t.Errorf("with a template: %+v, %v", found, err)
	}
}

// TestContexts covers a model with a context of 2048 tokens.
func TestContexts(t *testing.T) {
	e := estimator(t, "h200")
	got := Contexts(parse(t, "model: random:tiny-llama\nsweep: {workload.input_tokens: [1984, 1985]}\n"), e)
	if len(got) != 1 || got[0].Error ||
		!strings.Contains(got[0].Message, "is 2048 tokens, but up to 2049 are requested") {
		t.Errorf("%+v", got)
	}
	if got := Contexts(parse(t, "model: random:tiny-llama\nworkload.input_tokens: 1984\n"), e); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestModels: the hub is queried about models that are not here; a refusal stops their points, and a missing
// answer stops nothing.
func TestModels(t *testing.T) {
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/org/good/"):
			_, _ = w.Write([]byte(
				`{"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 3, "num_attention_heads": 16, ` +
					`"intermediate_size": 4096, "vocab_size": 32000}`))
		case strings.HasPrefix(r.URL.Path, "/org/gated/"):
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, "/org/down/"):
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer hub.Close()
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_TOKEN", "")
	s := parse(t, "model: m\nbackend: pytorch\nworkload: {dataset: synthetic}\nsweep: {model: [org/good, "+
		"org/gated, org/down, org/none]}\n")
	e := estimator(t, "h200")
	problems, err := Models(t.Context(), s, e)
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Study: s, Problems: problems, Estimate: e.Need})
	if p.Runnable != 2 || len(p.Findings) != 3 || p.Shown[0].Need == nil || p.Shown[1].Need != nil {
		t.Errorf("%d runnable, %+v", p.Runnable, p.Findings)
	}
	for i, want := range []string{"access to org/gated is restricted", "502 Bad Gateway for org/down",
		"there is no model org/none"} {
		if f := p.Findings[i]; !strings.Contains(f.Message, want) || f.Error != (i != 1) {
			t.Errorf("finding %+v, want %q", f, want)
		}
	}
	if !strings.Contains(p.Findings[0].Next, "HF_TOKEN") {
		t.Errorf("next %q", p.Findings[0].Next)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Models(ctx, s, e); err == nil {
		t.Error("an interrupt is not a finding")
	}
}

// TestHistoryIsExact: a run with another setting of the engine does not count as the same configuration.
func TestHistoryIsExact(t *testing.T) {
	all := parse(t, "model: random:llama-3.2-1b\nbackend: vllm\nworkload.dataset: synthetic\nsweep: "+
		"{vllm.enforce_eager: [true, false]}\n").Experiments
	e := estimator(t, "h200")
	config, err := e.config(all[0].Model)
	if err != nil {
		t.Fatal(err)
	}
	e.earlier = []estimate.Run{{Device: "H200 SXM", Backend: "vllm", Format: estimate.BF16, Model: config,
		Exact: string(all[0].Section), Seconds: 9,
		Work: estimate.Work{Prompts: 16, Batch: about.DefaultSequences, Input: 256, Output: 64}}}
	for i, want := range []string{"history (1 run)", "roofline corrected by 1 run"} {
		if n, reason := e.Need(all[i]); n == nil || n.Basis != want {
			t.Errorf("%+v, %s: %+v, want %s", all[i].Section, reason, n, want)
		}
	}
}

// TestKnobsAreNotEstimated: settings that no estimate supports have none, and teach none.
func TestKnobsAreNotEstimated(t *testing.T) {
	e := estimator(t, "h200")
	x := study.DefaultExperiment(engines.Find(nil, "pytorch"))
	x.Model = "random:llama-3.1-8b"
	if n, why := e.Need(x); n == nil {
		t.Errorf("nothing for PyTorch as it is: %s", why)
	}
	x.Section = `{"batch_size":1,"attn_implementation":"sdpa","device":"auto","compile":"default"}`
	if n, why := e.Need(x); n != nil || !strings.Contains(why, "compile=default") {
		t.Errorf("%+v, %q: want no estimate, for the compiled step", n, why)
	}
}

// TestQuantisedAtLoad: linear layers take the bits of the scheme; the embedding, the output matrix and the norms
// stay in 16 bits; loading needs the unquantised weights. The reference for NF4 is the 5.70 GB of published
// checkpoints.
func TestQuantisedAtLoad(t *testing.T) {
	e := estimator(t, "h200")
	x := study.DefaultExperiment(engines.Find(nil, "pytorch"))
	of := func(model, quantization string) (*Need, string) {
		x.Model = model
		x.Section = engine.JSON(`{"batch_size":1,"attn_implementation":"sdpa","device":"auto","quantization":"` +
			quantization + `"}`)
		return e.Need(x)
	}
	const linear, rows, rest, whole = 6_979_321_856, 32 * (2*4096 + 2*1024 + 2*14336 + 4096), 2_101_878_784, 16.06e9
	for quantization, want := range map[string]float64{
		"bitsandbytes-8bit": linear + 4*rows + rest,
		"bitsandbytes-4bit": 5.70e9,
		"torchao-int8":      linear + 2*rows + rest,
		"torchao-int4":      linear*4.25/8 + rest,
		"torchao-float8":    linear + 4*rows + rest,
	} {
		n, why := of("random:llama-3.1-8b", quantization)
		if n == nil {
			t.Errorf("%s: no estimate: %s", quantization, why)
			continue
		}
		if got := float64(n.WeightBytes); math.Abs(got/want-1) > 0.002 {
			t.Errorf("%s: weights of %.0f bytes, want %.0f", quantization, got, want)
		}
		if device := float64(n.DeviceBytes); device < whole || device > 1.1*whole || float64(n.Bytes) > 0.7*whole {
			t.Errorf("%s: needs %d bytes and %.0f of the device, want there the whole weights", quantization, n.Bytes,
				device)
		}
	}
	// 3584 columns are padded to 4096 in tiles of 1024.
	four, _ := of("random:qwen2.5-7b", "torchao-int4")
	eight, _ := of("random:qwen2.5-7b", "bitsandbytes-4bit")
	if four == nil || eight == nil || float64(four.WeightBytes) < 1.08*float64(eight.WeightBytes) {
		t.Errorf("padded int4 %+v, NF4 %+v", four, eight)
	}
	if n, why := of("random:qwen3-30b-a3b", "torchao-int8"); n != nil || !strings.Contains(why, "experts") {
		t.Errorf("experts: %+v, %q", n, why)
	}
	x.DType = "float32"
	if n, why := of("random:llama-3.1-8b", "torchao-int8"); n != nil || !strings.Contains(why, "float32") {
		t.Errorf("float32: %+v, %q", n, why)
	}
}

// TestLongerWindows: the upper end of the interval includes windows lengthened for the split by phase, if there
// are sensors and the study allows it.
func TestLongerWindows(t *testing.T) {
	const study = "model: random:llama-3.1-8b\nbackend: pytorch\n" +
		"workload: {dataset: synthetic, prompts: 16, input_tokens: 64, output_tokens: 16}\n"
	e := estimator(t, "h200")
	high := func(energy string) float64 {
		n := needs(t, e, study+"energy: {"+energy+"}")[0]
		return n.SecondsRange[1]
	}
	never := high("max_window: 0")
	ten, thirty := high("max_window: 10"), high("max_window: 30")
	if math.Abs(thirty-ten-20) > 1e-9 || ten <= never {
		t.Errorf("%v s at most with windows as they are, %v and %v with 10 and 30 s", never, ten, thirty)
	}
	if got := high("max_window: 30, sources: none"); math.Abs(got-never) > 1e-9 {
		t.Errorf("%v s at most without sensors, want %v", got, never)
	}
}

// TestNarrowText: at 40 columns no line of a plan is wider than the terminal, but for a command to paste; what cannot
// run is an error with its next step, and the head and the table have one unit of energy.
func TestNarrowText(t *testing.T) {
	s := parse(t, "sweep: {model: [random:llama-3.1-70b, random:smollm2-135m]}\nbackend: pytorch\ndtype: float32\n")
	s.Refused, s.Invalid = 1, []study.Invalid{
		{Point: "pytorch dtype=q8_0", Note: note.Note{Message: "no such weights"}}}
	p := New(Options{Study: s, Estimate: estimator(t, "h100").Need})
	text := textOf(t, p, 40)
	for line := range strings.Lines(text) {
		if n := table.Width(strings.TrimSuffix(line, "\n")); n > 40 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{"\nerror: " + p.Shown[0].ID[:4] + " does not fit into memory:\n",
		"\n  next: use a narrower dtype or\n    quantised weights",
		"\nerror: pytorch dtype=q8_0: no such\n  weights\n" +
			"  next: change its values, or leave it\n    out of the sweep\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	small := New(Options{Study: parse(t, "model: random:smollm2-135m\nbackend: embedded\nworkload: {prompts: 1}\n"),
		Estimate: estimator(t, "").Need})
	for q, want := range map[*Plan]string{p: "Wh", small: "J"} {
		if got := textOf(t, q, 80); strings.Contains(got, "mWh") || !strings.Contains(got, want) ||
			want == "J" && strings.Contains(got, "Wh") {
			t.Errorf("not in %s only:\n%s", want, got)
		}
	}
}
