package foreign

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/llenergymeasure/llem/internal/secret"
)

// Mistake is a file that cannot be taken.
type Mistake struct{ What, Next string }

// Error returns what is wrong, and where.
func (e *Mistake) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Mistake) NextStep() string { return e.Next }

// IsUsage marks a mistake of the command line.
func (e *Mistake) IsUsage() {}

// Numbers are what another program reports of one benchmark. They were not measured by llem.
type Numbers struct {
	// MeasuredBy is the program.
	MeasuredBy string `json:"measured_by"`
	// Version is its version; empty if its file does not name one.
	Version string `json:"version,omitempty"`
	// Format is the format of the file.
	Format Format `json:"format"`
	// File is the name of the file.
	File string `json:"file"`
	// SHA256 is the sum of the file.
	SHA256 string `json:"sha256"`
	// Benchmark is its place in the file, from 1.
	Benchmark int `json:"benchmark"`
	// Label is what the file calls the benchmark.
	Label string `json:"label,omitempty"`
	// Model is the model that it names.
	Model string `json:"model,omitempty"`
	// Backend is the engine or the endpoint that it names.
	Backend string `json:"backend,omitempty"`
	// Values are the numbers, in the order of [Definitions].
	Values []Value `json:"values"`
	// EnergyJ is the energy of the window by that program, in joules; null if it states none.
	EnergyJ *float64 `json:"energy_j"`
	// EnergyReason is why EnergyJ is null.
	EnergyReason string `json:"energy_reason,omitempty"`
}

// Value is one number.
type Value struct {
	// Key is its path in the file.
	Key string `json:"key"`
	// Value is in Unit, their unit.
	Value float64 `json:"value"`
	// Unit is empty for a count.
	Unit string `json:"unit,omitempty"`
	// Metric is llem's name of the number; empty if llem has none.
	Metric string `json:"metric,omitempty"`
	// Converted is the number in the unit of that metric; null without one.
	Converted *float64 `json:"converted"`
	// Differs is how the definition differs from llem's; empty if it is the same.
	Differs string `json:"differs,omitempty"`
	// Apart reports that the two must not be set side by side.
	Apart bool `json:"not_comparable,omitempty"`
}

// Read reads the numbers of a file by its content; name is for messages.
func Read(name string, text []byte) ([]Numbers, error) {
	documents, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	var out []Numbers
	for _, d := range documents {
		found, err := numbers(name, d)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	for i := range out {
		out[i].Benchmark = i + 1
	}
	return out, nil
}

// parse returns the JSON documents of a file: vllm bench serve --append-result writes one a line.
func parse(name string, text []byte) (out []object, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var d object
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return out, nil
		}
		if err != nil {
			return nil, notJSON(name, text, err)
		}
		out = append(out, d)
	}
}

// notJSON explains why a file cannot be parsed.
func notJSON(name string, text []byte, err error) error {
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return &Mistake{name + " is empty", "copy it again from where it was written, or run the benchmark again"}
	case isType:
		return &Mistake{fmt.Sprintf("%s holds a JSON %s, not an object", name, wrong.Value), whatToGive}
	case errors.Is(err, io.ErrUnexpectedEOF) || isSyntax && int(syntax.Offset) >= len(bytes.TrimSpace(text)):
		return &Mistake{fmt.Sprintf("%s ends in the middle, after %d bytes", name, len(text)),
			"copy it again from where it was written, or run the benchmark again"}
	case isSyntax && notANumber(text, int(syntax.Offset)) != "":
		at := int(syntax.Offset)
		return &Mistake{fmt.Sprintf("%s has %s in line %d, which is not a number", name, notANumber(text, at),
			1+bytes.Count(text[:at], []byte("\n"))),
			"a benchmark whose requests failed writes it: run it again; there is nothing to compare"}
	}
	return &Mistake{fmt.Sprintf("%s is not JSON: %v", name, err), whatToGive}
}

// notANumber returns NaN or Infinity, as Python writes them, at a byte of the text, which counts from 1.
func notANumber(text []byte, at int) string {
	for _, word := range []string{"NaN", "-Infinity", "Infinity"} {
		from := max(0, min(at-1, len(text))-len(word))
		if bytes.Contains(text[from:min(len(text), at+len(word))], []byte(word)) {
			return word
		}
	}
	return ""
}

// whatToGive is the next step for those who gave another file.
const whatToGive = "give profile_export_aiperf.json of AIPerf, the file of vllm bench serve --save-result, " +
	"benchmarks.json of GuideLLM, or benchmark.json or benchmark_report.json of optimum-benchmark"

// numbers reads one document.
func numbers(name string, d object) ([]Numbers, error) {
	if isOurs(d) {
		return nil, &Mistake{name + " is a result of llem itself", "llem report reads its folder"}
	}
	switch {
	case isGuideLLM(d):
		return readGuideLLM(name, d)
	case isAIPerf(d):
		return readAIPerf(name, d)
	case isOptimum(d):
		return readOptimum(name, d)
	case isEndpoints(d):
		origin, _ := d["metadata"].(object)
		return one(name, Numbers{Format: Endpoints}, d, origin)
	case isVLLM(d):
		n := Numbers{Format: VLLMBench, Label: text(d["label"]), Model: text(d["model_id"]),
			Backend: cmp.Or(text(d["backend"]), text(d["endpoint_type"]))}
		return one(name, n, d, d)
	}
	return nil, &Mistake{name + " is not a result of a benchmark that llem knows", whatToGive}
}

// isOurs reports whether a document is result.json or summary.json.
func isOurs(d object) bool {
	_, run := d["cycle"].(float64)
	_, study := d["experiments"].([]any)
	return run && d["energy"] != nil || study && d["rows"] != nil
}

// one completes the numbers of a single benchmark.
func one(name string, n Numbers, d, origin object) ([]Numbers, error) {
	if err := n.take(name, d, origin); err != nil {
		return nil, err
	}
	return []Numbers{n}, nil
}

// readAIPerf reads profile_export_aiperf.json.
func readAIPerf(name string, d object) ([]Numbers, error) {
	schema := text(d["schema_version"])
	if schema != "" && !strings.HasPrefix(schema, "1.") {
		return nil, unknownVersion(name, AIPerf, "schema_version "+schema, "1.x")
	}
	info, _ := d["run_info"].(object)
	config, _ := d["input_config"].(object)
	endpoint, _ := config["endpoint"].(object)
	n := Numbers{Format: AIPerf, Version: text(d["aiperf_version"]), Label: text(info["run_label"]),
		Model: list(endpoint["model_names"]), Backend: text(endpoint["type"])}
	if n.Model == "" {
		n.Model = list(config["models"])
	}
	origin, _ := d["metadata"].(object)
	return one(name, n, d, origin)
}

// readGuideLLM reads benchmarks.json.
func readGuideLLM(name string, d object) (out []Numbers, err error) {
	metadata, _ := d["metadata"].(object)
	if version, _ := metadata["version"].(float64); int(version) != guidellmVersion {
		return nil, unknownVersion(name, GuideLLM, fmt.Sprintf("metadata.version %v", metadata["version"]),
			fmt.Sprint(guidellmVersion))
	}
	config, _ := d["config"].(object)
	spec, _ := config["spec"].(object)
	backend, _ := spec["backend"].(object)
	benchmarks := d["benchmarks"].([]any)
	if len(benchmarks) == 0 {
		return nil, &Mistake{name + " has no finished benchmark", "run GuideLLM again until one ends"}
	}
	for i, b := range benchmarks {
		benchmark, _ := b.(object)
		own, _ := benchmark["config"].(object)
		strategy, _ := own["strategy"].(object)
		served, _ := own["backend"].(object)
		environment, _ := own["environment"].(object)
		n := Numbers{Format: GuideLLM, Version: text(metadata["guidellm_version"]),
			Label: text(strategy["type_"]), Model: cmp.Or(text(served["model"]), text(backend["model"])),
			Backend: text(served["name"])}
		for _, key := range []string{"streams", "rate"} {
			if v, ok := strategy[key].(float64); ok {
				n.Label += fmt.Sprintf(" %s %g", key, v)
			}
		}
		if err := n.take(fmt.Sprintf("%s, benchmark %d", name, i+1), benchmark, environment); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// readOptimum reads benchmark.json, or benchmark_report.json, which does not name its model.
func readOptimum(name string, d object) ([]Numbers, error) {
	report, merged := d["report"].(object)
	if !merged {
		report = d
	}
	config, _ := d["config"].(object)
	backend, _ := config["backend"].(object)
	environment, _ := config["environment"].(object)
	n := Numbers{Format: Optimum, Label: text(config["name"]), Model: text(backend["model"]),
		Version: text(environment["optimum_benchmark_version"]),
		Backend: strings.TrimSpace(text(backend["name"]) + " " + text(backend["version"]))}
	return one(name, n, report, environment)
}

// unknownVersion is a file of a version whose keys may mean something else.
func unknownVersion(name string, f Format, got, want string) error {
	return &Mistake{fmt.Sprintf("%s: %s of %s is not known", name, got, f.Tool()),
		fmt.Sprintf("llem reads %s: write the file with a version of %s that has it", want, f.Tool())}
}

// take takes the numbers of a benchmark from its part of the document. The origin names llem if it wrote the file.
func (n *Numbers) take(name string, d, origin object) error {
	n.MeasuredBy, n.EnergyReason = n.Format.Tool(), about[n.Format].noEnergy
	if text(origin["measured_by"]) == "llem" {
		return &Mistake{name + " was written by llem, which measured its numbers", "compare the folder of the study"}
	}
	for _, def := range Definitions() {
		if def.Format != n.Format {
			continue
		}
		keys := []string{""}
		if strings.Contains(def.Path, "%s") {
			keys = statistics
		}
		for _, statistic := range keys {
			if err := n.value(name, d, def, statistic); err != nil {
				return err
			}
		}
	}
	if len(n.Values) == 0 {
		return &Mistake{name + " has none of the numbers of " + n.Format.Tool(), whatToGive}
	}
	clean(&n.Label, &n.Model, &n.Backend, &n.Version)
	return nil
}

// value takes one number, if the file has it.
func (n *Numbers) value(name string, d object, def Definition, statistic string) error {
	path, metric := def.Path, def.Ours
	if statistic != "" {
		path = def.Key(statistic)
		if metric != "" {
			metric += "." + statistic
		}
	}
	found := at(d, strings.Split(path, "."))
	v, ok := found.(float64)
	switch {
	case found == nil && def.Required:
		return &Mistake{fmt.Sprintf("%s has the form of %s, and lacks %s", name, def.Format.Tool(), path),
			"run the benchmark again; the file is not complete"}
	case found == nil:
		return nil
	case !ok:
		return &Mistake{fmt.Sprintf("%s: %s is not a number", name, path), "run the benchmark again"}
	case v < 0:
		return &Mistake{fmt.Sprintf("%s: %s is %g, below zero", name, path, v), "run the benchmark again"}
	}
	value := Value{Key: path, Value: v, Unit: def.Unit, Metric: metric, Differs: def.Differs, Apart: def.Apart}
	if metric != "" {
		converted := v * def.Factor
		value.Converted = &converted
		if def.Ours == oursJ && !def.Apart {
			n.EnergyJ, n.EnergyReason = &converted, ""
		}
	}
	n.Values = append(n.Values, value)
	return nil
}

// at follows a path of keys; nil if it leads nowhere.
func at(d object, path []string) any {
	for i, key := range path {
		v, ok := d[key]
		if !ok || i == len(path)-1 {
			return v
		}
		if d, ok = v.(object); !ok {
			return nil
		}
	}
	return nil
}

// text is a string, or empty.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// list is the strings of a list, or a string.
func list(v any) string {
	var out []string
	values, _ := v.([]any)
	for _, v := range values {
		if s := text(v); s != "" {
			out = append(out, s)
		}
	}
	return cmp.Or(strings.Join(out, ", "), text(v))
}

// clean makes texts of a file printable on one line.
func clean(texts ...*string) {
	for _, t := range texts {
		*t = strings.Join(strings.Fields(secret.Plain(*t)), " ")
	}
}
