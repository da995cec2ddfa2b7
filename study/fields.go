package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/power/scrape"
)

// field is one key of an experiment: its dotted name, what it accepts, and how it
// is set from the text of a scalar.
type field struct {
	key  string
	want string // what a value must be, for messages and help
	set  func(e *Experiment, text string) error
}

// section is the backend that owns the key, or "".
func (f field) section() string {
	head, _, ok := strings.Cut(f.key, ".")
	if ok && slices.Contains(backends, head) {
		return head
	}
	return ""
}

var backends = []string{Embedded, PyTorch, Fake}

// Orders of execution.
var orders = []string{"sequential", "interleave", "shuffle", "reverse"}

// dtypes that some backend runs.
var dtypes = []string{DTypeAuto, "float32", "float16", "bfloat16", "q8_0", "q4_0"}

// fields is the grammar of an experiment. Order is the order of documentation.
var fields = []field{
	text("model", "a model: random:SHAPE, a .gguf file, a folder, or a Hugging Face id", func(e *Experiment) *string { return &e.Model }),
	choice("backend", backends, func(e *Experiment) *string { return &e.Backend }),
	choice("dtype", dtypes, func(e *Experiment) *string { return &e.DType }),
	text("workload.dataset", "builtin, synthetic or the path of a .jsonl or .json file", func(e *Experiment) *string { return &e.Workload.Dataset }),
	whole("workload.prompts", 1, 1e6, func(e *Experiment) *int { return &e.Workload.Prompts }),
	whole("workload.input_tokens", 1, 1e7, func(e *Experiment) *int { return &e.Workload.InputTokens }),
	whole("workload.output_tokens", 1, 1e6, func(e *Experiment) *int { return &e.Workload.OutputTokens }),
	number("decoding.temperature", 0, 0, func(e *Experiment) *float64 { return &e.Decoding.Temperature }),
	whole("warmup.runs", 0, 1000, func(e *Experiment) *int { return &e.Warmup.Runs }),
	number("baseline.seconds", 0, 3600, func(e *Experiment) *float64 { return &e.Baseline.Seconds }),
	number("baseline.resident_seconds", 0, 3600, func(e *Experiment) *float64 { return &e.Baseline.ResidentSeconds }),
	number("baseline.max_age_seconds", 0, 30*86400, func(e *Experiment) *float64 { return &e.Baseline.MaxAgeSeconds }),
	number("energy.min_window", 0, 86400, func(e *Experiment) *float64 { return &e.Energy.MinWindow }),
	choice("energy.sources", []string{"auto", "none"}, func(e *Experiment) *string { return &e.Energy.Sources }),
	remote("energy.remote", func(e *Experiment) *string { return &e.Energy.Remote }),
	number("energy.carbon_intensity_g_per_kwh", 0, 1e5, func(e *Experiment) *float64 { return &e.Energy.CarbonIntensity }),
	number("energy.pue", 1, 10, func(e *Experiment) *float64 { return &e.Energy.PUE }),
	number("energy.price_per_kwh", 0, 1e6, func(e *Experiment) *float64 { return &e.Energy.PricePerKWh }),
	seed("seed", func(e *Experiment) *uint64 { return &e.Seed }),
	whole("embedded.batch_size", 1, 4096, func(e *Experiment) *int { return &e.Embedded.BatchSize }),
	whole("embedded.threads", 0, 4096, func(e *Experiment) *int { return &e.Embedded.Threads }),
	whole("embedded.prefill_chunk", 1, 1<<20, func(e *Experiment) *int { return &e.Embedded.PrefillChunk }),
	whole("pytorch.batch_size", 1, 1<<20, func(e *Experiment) *int { return &e.PyTorch.BatchSize }),
	choice("pytorch.attn_implementation", []string{"sdpa", "eager", "flash_attention_2"}, func(e *Experiment) *string { return &e.PyTorch.AttnImplementation }),
	device("pytorch.device", func(e *Experiment) *string { return &e.PyTorch.Device }),
	whole("fake.batch_size", 1, 4096, func(e *Experiment) *int { return &e.Fake.BatchSize }),
	choice("fake.batching", []string{"static", "continuous"}, func(e *Experiment) *string { return &e.Fake.Batching }),
	number("fake.speed", 0.01, 100, func(e *Experiment) *float64 { return &e.Fake.Speed }),
}

// undivided are the keys whose setting on the command line is one value, commas
// included.
var undivided = []string{"energy.remote"}

// studyKeys are the keys of a file that do not describe an experiment.
var studyKeys = []string{"name", "sweep", "execution.cycles", "execution.order", "execution.seed"}

// lookup finds a field by its dotted key.
func lookup(key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func text(key, want string, at func(*Experiment) *string) field {
	return field{key, want, func(e *Experiment, s string) error {
		if strings.TrimSpace(s) == "" {
			return fmt.Errorf("is empty; want %s", want)
		}
		*at(e) = s
		return nil
	}}
}

// remote is a list of metrics pages. Its commas separate pages and not the values
// of an axis.
func remote(key string, at func(*Experiment) *string) field {
	return field{key, "a list of http://host:9400/metrics or name=URL#metric{label=\"value\"}:W", func(e *Experiment, s string) error {
		if _, err := scrape.ParseTargets(s); err != nil {
			return err
		}
		*at(e) = s
		return nil
	}}
}

func choice(key string, allowed []string, at func(*Experiment) *string) field {
	want := "one of " + strings.Join(allowed, ", ")
	return field{key, want, func(e *Experiment, s string) error {
		if !slices.Contains(allowed, s) {
			return valueError(s, want, nearest(s, allowed))
		}
		*at(e) = s
		return nil
	}}
}

func device(key string, at func(*Experiment) *string) field {
	want := "auto, cpu, cuda or cuda:N"
	return field{key, want, func(e *Experiment, s string) error {
		index, isIndexed := strings.CutPrefix(s, "cuda:")
		if isIndexed {
			if _, err := parseWhole(index); err != nil {
				return valueError(s, want, "")
			}
		} else if !slices.Contains([]string{"auto", "cpu", "cuda"}, s) {
			return valueError(s, want, nearest(s, []string{"auto", "cpu", "cuda"}))
		}
		*at(e) = s
		return nil
	}}
}

func whole(key string, low, high int64, at func(*Experiment) *int) field {
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	return field{key, want, func(e *Experiment, s string) error {
		n, err := parseWhole(s)
		if err != nil || n < low || n > high {
			return valueError(s, want, "")
		}
		*at(e) = int(n)
		return nil
	}}
}

func seed(key string, at func(*Experiment) *uint64) field {
	want := "a whole number of 0 or more"
	return field{key, want, func(e *Experiment, s string) error {
		n, err := parseWhole(s)
		if err != nil || n < 0 {
			return valueError(s, want, "")
		}
		*at(e) = uint64(n)
		return nil
	}}
}

func number(key string, low, high float64, at func(*Experiment) *float64) field {
	want := fmt.Sprintf("a number from %g to %g", low, high)
	if low == high {
		want = fmt.Sprintf("%g (the only value so far)", low)
	}
	return field{key, want, func(e *Experiment, s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(v) || v < low || v > high || strings.ContainsAny(s, "_xX") {
			return valueError(s, want, "")
		}
		*at(e) = v + 0 // -0 and 0 are one value
		return nil
	}}
}

// parseWhole reads a decimal whole number. A leading zero is refused: YAML 1.1
// reads 010 as eight, YAML 1.2 as ten.
func parseWhole(s string) (int64, error) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > 1 && digits[0] == '0' {
		return 0, fmt.Errorf("%q has a leading zero", s)
	}
	return strconv.ParseInt(s, 10, 64)
}

// valueError says what a value is and what it should be.
func valueError(got, want, near string) error {
	if near != "" {
		return &hinted{fmt.Sprintf("is %q; want %s", got, want), fmt.Sprintf("did you mean %q?", near)}
	}
	return fmt.Errorf("is %q; want %s", got, want)
}

// hinted is an error with a suggestion.
type hinted struct{ msg, hint string }

func (h *hinted) Error() string { return h.msg }

// Keys lists every key with what it accepts, for documentation and help.
func Keys() [][2]string {
	out := make([][2]string, len(fields))
	for i, f := range fields {
		out[i] = [2]string{f.key, f.want}
	}
	return out
}
