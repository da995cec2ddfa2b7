package estimate

import (
	"math"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/unit"
)

func predict(t *testing.T, s Setup, earlier ...Run) Prediction {
	t.Helper()
	p, err := Estimate(s, earlier)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTimeGrows: time and energy grow with work and never fall.
func TestTimeGrows(t *testing.T) {
	changes := map[string]func(*Setup, int){
		"prompts": func(s *Setup, i int) { s.Work.Prompts = 1 + 7*i },
		"input":   func(s *Setup, i int) { s.Work.Input = 17 + 300*i },
		"output":  func(s *Setup, i int) { s.Work.Output = 1 + 100*i },
		"layers":  func(s *Setup, i int) { s.Model.Layers = 1 + 4*i },
		"format":  func(s *Setup, i int) { s.Format = []Format{BF16, FP32}[min(i, 1)] },
		"batch":   func(s *Setup, i int) { s.Work.Batch, s.Work.Prompts = 1<<i, 1<<i },
		"slower": func(s *Setup,
			i int) {
			s.Device.Bandwidth /= float64(1 + i)
			s.Device.Rates.BF16 /= float64(1 + i)
		},
	}
	for _, backend := range Backends() {
		for _, shape := range []string{"smollm2-135m", "llama-3.1-8b", "gemma-3-1b", "qwen3-30b-a3b"} {
			for name, change := range changes {
				var seconds, joules float64
				for i := range 8 {
					s := on(t, shape, 8, 256, 32)
					s.Backend = backend
					if backend == "embedded" {
						s.Device = Processor(16, 64<<30)
					}
					change(&s, i)
					p := predict(t, s)
					// A step that takes longer may draw less; its energy may not fall.
					if p.Window.Seconds < seconds*(1-1e-9) || p.Window.Energy.Joules() < joules*(1-1e-9) {
						t.Errorf("%s %s, %s %d: %g s and %g J fall to %+v", backend, shape, name, i, seconds, joules,
							p.Window)
					}
					seconds, joules = p.Window.Seconds, p.Window.Energy.Joules()
				}
			}
		}
	}
}

// TestLargerBatchSavesEnergy: the same prompts in larger batches read the weights less often.
func TestLargerBatchSavesEnergy(t *testing.T) {
	last := math.Inf(1)
	for _, batch := range []int{1, 2, 4, 8, 16, 32} {
		s := on(t, "llama-3.1-8b", 32, 512, 128)
		s.Work.Batch = batch
		if got := predict(t, s).Window.Energy.Joules(); got >= last {
			t.Errorf("batch %d takes %g J, a smaller one %g J", batch, got, last)
		} else {
			last = got
		}
	}
}

// TestDecodeByHand: a server without launch costs is bound by memory: 15.0 GB of
// weights less the embedding, at 0.8 of 4.8 TB/s, and 1.5 ms of the host.
func TestDecodeByHand(t *testing.T) {
	s := on(t, "llama-3.1-8b", 1, 512, 2)
	s.Backend = "vllm"
	_, decode := s.batchCost(1)
	weights := 2 * (8_030_261_248 - 525_336_576.0)
	want := (weights + 512*131_072 + 32*0.25*elementBytes(s.Model, 2)) / (0.8 * 4.8e12)
	within(t, "decode s", decode.Seconds, want, 1e-3)
	if decode.Bound != BoundMemory {
		t.Errorf("bound by %s", decode.Bound)
	}
	// Prefill: 2 operations for each of 6.98 G parameters and token, the head once,
	// attention; at 0.65 of 989 TFLOP/s and the elements.
	prefill, _ := s.batchCost(1)
	flops := s.Model.FLOPs(nil).Prefill
	if flops != 0 {
		t.Fatal("no request must not be valid work")
	}
	flops = 512*2*6_979_588_096.0 + 2*4096*128_256 + 32*4*32*128*512*513/2
	want = flops/(0.65*989e12) + 512*32*0.25*elementBytes(s.Model, 2)/(0.8*4.8e12)
	within(t, "prefill s", prefill.Seconds, want, 1e-3)
	if prefill.Bound != BoundCompute {
		t.Errorf("bound by %s", prefill.Bound)
	}
}

func TestPowerStaysBelowTheLimit(t *testing.T) {
	for _, d := range Devices() {
		for _, shape := range []string{"smollm2-135m", "llama-2-7b"} {
			s := on(t, shape, 64, 1024, 16)
			s.Device, s.Format = d, FP16
			p := predict(t, s)
			for _, phase := range []Phase{p.Prefill, p.Decode} {
				if w := phase.Watts(); w < d.Idle || w > d.TDP+0.001 {
					t.Errorf("%s on %s: %v, limit %v", shape, d.Name, w, d.TDP)
				}
			}
		}
	}
}

func TestFixedCostsAndRepeats(t *testing.T) {
	s := on(t, "llama-3.1-8b", 8, 512, 48)
	s.Around = Around{BaselineSeconds: 5, ResidentSeconds: 3, WarmupRuns: 2, MinWindow: 10}
	p := predict(t, s)
	once := predict(t, on(t, "llama-3.1-8b", 8, 512, 48))
	if want := int(math.Ceil(10 / once.Window.Seconds)); p.Repeats != want || p.Window.Seconds < 10 {
		t.Errorf("%d repeats of %g s, want %d", p.Repeats, p.Window.Seconds, want)
	}
	within(t, "warm-up", p.Fixed.Warmup, 2*once.Window.Seconds+5, 1e-9)
	within(t, "all", p.Seconds, 5+3+p.Fixed.Start+p.Fixed.Warmup+p.Window.Seconds, 1e-9)
	within(t, "kWh", p.KWh(), p.Energy.Joules()/3.6e6, 1e-12)
	within(t, "window", p.Window.Seconds, p.Prefill.Seconds+p.Decode.Seconds, 1e-9)
	if p.Fixed.Energy <= 0 || p.Basis != "roofline" || len(p.Warnings) != 1 ||
		!strings.Contains(p.Warnings[0], "bound by the host") {
		t.Errorf("%+v", p)
	}
}

// runOf returns a measurement that differs from the model by the given factors.
func runOf(t *testing.T, s Setup, time, energy, peak float64) Run {
	p := predict(t, s)
	return Run{
		Device: s.Device.Name, Backend: s.Backend, Attention: s.Attention, Format: s.Format, Model: s.Model,
		Work: s.Work, Parallel: s.Parallel,
		Seconds: p.Window.Seconds * time, Energy: unit.FromJoules(p.Window.Energy.Joules() * energy),
		Peak: digits.Bytes(float64(p.Memory.Total) * peak),
	}
}

func TestHistory(t *testing.T) {
	s := on(t, "llama-3.1-8b", 16, 512, 128)
	s.Work.Batch = 8
	plain := predict(t, s)
	other := on(t, "llama-3.2-1b", 4, 64, 32)

	exact := predict(t, s, runOf(t, s, 1.2, 1.1, 1.02), runOf(t, s, 1.4, 1.3, 1.04), runOf(t, other, 9, 9, 9))
	if exact.Basis != "history (2 runs)" {
		t.Errorf("basis %q", exact.Basis)
	}
	within(t, "mean seconds", exact.Window.Seconds, 1.3*plain.Window.Seconds, 1e-6)
	within(t, "mean joules", exact.Window.Energy.Joules(), 1.2*plain.Window.Energy.Joules(), 1e-6)
	within(t, "mean peak", float64(exact.Memory.Total), 1.03*float64(plain.Memory.Total), 1e-6)
	if m := exact.Memory; m.Total != m.Weights+m.KVCache+m.Activations+m.Logits+m.Overhead ||
		m.High-m.Low >= plain.Memory.High-plain.Memory.Low {
		t.Errorf("%+v", m)
	}

	similar := predict(t, s, runOf(t, other, 2, 1.5, 1), runOf(t, other, 3, 1.6, 1), runOf(t, other, 50, 50, 1))
	if similar.Basis != "roofline corrected by 3 runs" {
		t.Errorf("basis %q", similar.Basis)
	}
	within(t, "median seconds", similar.Window.Seconds, 3*plain.Window.Seconds, 1e-6)
	within(t, "median joules", similar.Window.Energy.Joules(), 1.6*plain.Window.Energy.Joules(), 1e-6)
	if r := similar.SecondsRange; r.Low > 2.0/3*similar.Window.Seconds || r.High < 50.0/3*similar.Window.Seconds {
		t.Errorf("the range %+v leaves out a run", r)
	}

	// More prompts of the same batches are the same configuration.
	longer := s
	longer.Work.Prompts = 160
	within(t, "scaled", predict(t, longer, runOf(t, s, 2, 2, 1)).Window.Seconds, 2*predict(t, longer).Window.Seconds,
		1e-6)

	// Runs that must have no effect.
	for name, change := range map[string]func(*Run){
		"device":    func(r *Run) { r.Device = "A100" },
		"unknown":   func(r *Run) { r.Device = "a card" },
		"backend":   func(r *Run) { r.Backend = "vllm" },
		"format":    func(r *Run) { r.Format = FP16 },
		"attention": func(r *Run) { r.Attention = "eager" },
		"parallel":  func(r *Run) { r.Parallel = 2 },
		"nothing":   func(r *Run) { r.Work = Work{} },
		"model":     func(r *Run) { r.Model.Layers = 0 },
		"unmeasured": func(r *Run) {
			r.Seconds, r.Energy, r.Peak = 0, 0, 0
		},
	} {
		r := runOf(t, s, 5, 5, 5)
		change(&r)
		if got := predict(t, s, r); got.Basis != "roofline" || got.Window != plain.Window ||
			got.Memory != plain.Memory {
			t.Errorf("a run of another %s changed the estimate: %+v", name, got)
		}
	}
	named := runOf(t, s, 2, 2, 1)
	named.Device, named.Attention, named.Format = "NVIDIA H200", "sdpa", BF16
	if got := predict(t, s, named).Basis; got != "history (1 run)" {
		t.Errorf("by the driver's name: basis %q", got)
	}
	// Time without energy: power stays as modelled.
	timed := runOf(t, s, 2, 0, 0)
	within(t, "power", float64(predict(t, s, timed).Decode.Watts()), float64(plain.Decode.Watts()), 1e-6)
}

func TestFits(t *testing.T) {
	s := on(t, "llama-3.1-70b", 64, 2048, 128)
	s.Device, _ = Lookup("A100")
	f := s.Fits(0)
	if f.OK || f.Batch != 0 || !strings.Contains(f.Reason, "not even a batch of 1 fits") ||
		!strings.Contains(f.Reason, "weights 131 GiB") {
		t.Errorf("%+v", f)
	}
	s = on(t, "qwen2.5-32b", 512, 2048, 128)
	f = s.Fits(0)
	if f.OK || f.Batch == 0 || !strings.Contains(f.Next, "reduce the batch to ") ||
		!strings.Contains(f.Reason, " of 140 GiB on H200 SXM") {
		t.Errorf("%+v", f)
	}
	at, above := s.withBatch(f.Batch).Fits(0), s.withBatch(f.Batch+1).Fits(0)
	if !at.OK || !at.Tight || above.OK || above.Batch != f.Batch {
		t.Errorf("at %d: %+v, above: %+v", f.Batch, at, above)
	}
	f = on(t, "llama-3.1-8b", 8, 512, 128).Fits(139 << 30)
	if !f.OK || f.Tight || f.Batch < 100 || !strings.HasPrefix(f.Reason, "needs 16.5 GiB (weights 15.0 GiB") {
		t.Errorf("%+v", f)
	}
	// A tied model needs more while it is loaded than at a small batch.
	f = on(t, "llama-3.2-1b", 1, 16, 2).Fits(3 << 30)
	if f.OK || f.Batch != 0 || !strings.Contains(f.Reason, "while loading") {
		t.Errorf("%+v", f)
	}
	s = on(t, "llama-3.1-70b", 1, 128, 16)
	s.Backend = "vllm"
	s.Device, _ = Lookup("H100 SXM")
	if f = s.Fits(0); strings.Contains(f.Next, "devices") { // no key shares it
		t.Errorf("%+v", f)
	}
	s.Keys.Parallel = "vllm.tensor_parallel_size"
	if f = s.Fits(0); !strings.Contains(f.Next, "share it among 2 devices (vllm.tensor_parallel_size: 2)") {
		t.Errorf("%+v", f)
	}
	s = on(t, "llama-3.1-8b", 1, 128, 16)
	s.Backend = "vllm"
	if f = s.Fits(100 << 30); f.OK ||
		!strings.Contains(f.Reason, "vllm takes 126 GiB at start (90 % of the device) of 100 GiB") {
		t.Errorf("%+v", f)
	}
	s.Pool = 0.5
	if f = s.Fits(100 << 30); !f.OK || f.Tight ||
		!strings.Contains(f.Reason, "of the 70.2 GiB that vllm takes on H200 SXM") {
		t.Errorf("%+v", f)
	}
	if f = (Setup{}).Fits(0); f.OK || f.Reason == "" {
		t.Errorf("%+v", f)
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Setup){
		"architecture":      func(s *Setup) { s.Model.Arch = "mamba" },
		"cannot be est":     func(s *Setup) { s.Backend = "onnx" },
		"format \"fp3\"":    func(s *Setup) { s.Format = "fp3" },
		"does not comp":     func(s *Setup) { s.Device, _ = Lookup("V100") },
		"is not a workload": func(s *Setup) { s.Work.Output = 0 },
		"not estimated":     func(s *Setup) { s.Work.Batch = 1 << 40 },
	} {
		s := on(t, "llama-3.1-8b", 1, 16, 4)
		change(&s)
		if _, err := Estimate(s, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

// TestWarnings: warnings name what the model is not fitted on.
func TestWarnings(t *testing.T) {
	s := on(t, "qwen3-30b-a3b", 4, 64, 8)
	s.Backend, s.Parallel, s.Format = "sglang", 2, FP8
	s.Device, _ = Lookup("A100")
	all := strings.Join(predict(t, s).Warnings, "\n")
	for _, want := range []string{"nominal: no run", "fitted on an H200 only", "no matrix units for fp8",
		"communication", "experts"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning of %q in\n%s", want, all)
		}
	}
}

// FuzzEstimate: no Setup causes a panic or values that are not numbers.
func FuzzEstimate(f *testing.F) {
	f.Add("llama-3.1-8b", "pytorch", "eager", "bf16", 8, 3, 512, 64, 1)
	f.Add("qwen3-30b-a3b", "vllm", "", "int4", 1, 9, 1, 1, 8)
	f.Fuzz(func(t *testing.T, shape, backend, attention, format string, prompts, batch, input, output, parallel int) {
		s := on(t, "gemma-3-1b", batch, input, output)
		s.Backend, s.Attention, s.Format = backend, attention, Format(format)
		s.Work.Prompts, s.Parallel = prompts, parallel
		p, err := Estimate(s, nil)
		if err != nil {
			return
		}
		for _, v := range []float64{p.Seconds, p.Energy.Joules(), p.Window.Seconds, float64(p.Memory.Total)} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%+v: %+v", s, p)
			}
		}
	})
}
