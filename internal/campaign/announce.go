package campaign

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// opening is the event that opens the study: its grid, and what of it an earlier
// process has made. A record that cannot be read is no reason to stop; what the journal
// says of it decides what is made again.
func (s *schedule) opening(plan []Planned) event.StudyStarted {
	out := event.StudyStarted{Name: folderName(s.Study), Runs: len(plan), Dir: s.dir.Path(),
		Experiments: rows(s.Study.Experiments), Cycles: s.Study.Execution.Cycles}
	if x := s.Study.Execution; x.Until.MaxCycles > x.Cycles {
		out.Precision = x.Until.RelativeHalfWidth
	}
	if len(s.made) == 0 {
		return out
	}
	for rec, err := range result.Records(s.dir.Path()) {
		if err == nil && s.wasMade(result.RunKey{ID: rec.ID, Cycle: rec.Cycle}) {
			out.Made = append(out.Made, s.finished(rec))
		}
	}
	return out
}

// finished is the event that closes a run, without its place in the study.
func (s *schedule) finished(rec *result.Record) event.RunFinished {
	out := event.RunFinished{ID: rec.ID, Cycle: rec.Cycle, Status: string(rec.Status), Metric: s.metric(rec)}
	if rec.Failure != nil {
		out.Message, out.LeftOut = rec.Failure.Message, rec.Failure.Class == ClassLeftOut
	}
	return out
}

// metric is the number by which an experiment is followed: that which decides on more
// cycles, else energy per output token, else output tokens per second.
func (s *schedule) metric(rec *result.Record) event.Metric {
	for _, name := range []string{s.Study.Execution.Until.Metric, "energy.per_output_token_j", "throughput.output_tokens_per_s"} {
		m, err := result.Metric(name)
		if err != nil {
			continue // no goal
		}
		v, ok := m.Value(rec)
		if !ok {
			continue
		}
		out := event.Metric{Name: m.Name, Unit: m.Unit, Value: v}
		if strings.HasPrefix(m.Name, "energy.") && rec.Energy.Provenance == result.Modelled {
			out.Origin = string(result.Modelled)
		}
		if rec.Config.Backend == study.Fake {
			out.Origin = "simulated"
		}
		return out
	}
	return event.Metric{Value: math.NaN()}
}

// rows lists the experiments with the keys that vary.
func rows(all []study.Experiment) []event.Experiment {
	keys := varying(all)
	out := make([]event.Experiment, len(all))
	for i := range all {
		out[i] = event.Experiment{ID: all[i].ID(), Label: label(keys, &all[i])}
		if out[i].Label == "" {
			out[i].Label = all[i].Label()
		}
	}
	return out
}

// label prints the keys that vary, in short: what a model, an engine or a type is
// called says what it is, and a key's section matters only where two keys share a name.
func label(keys []field, e *study.Experiment) string {
	var own []field
	names := map[string]int{}
	v := reflect.ValueOf(e).Elem()
	for _, f := range keys {
		if _, ok := f.of(v); ok {
			own = append(own, f)
			names[f.name()]++
		}
	}
	var words []string
	for _, f := range own {
		at, _ := f.of(v)
		switch {
		case f.key == "model" || f.key == "backend" || f.key == "dtype":
			words = append(words, text(at))
		case names[f.name()] > 1:
			words = append(words, f.key+"="+text(at))
		default:
			words = append(words, f.name()+"="+text(at))
		}
	}
	return strings.Join(words, " ")
}

// field is a value inside an experiment, by its key.
type field struct {
	key  string
	path []int // through structs and pointers to structs
}

// name is the key without its section.
func (f field) name() string { return f.key[strings.LastIndexByte(f.key, '.')+1:] }

// of is the value in an experiment; false where its section is not there.
func (f field) of(v reflect.Value) (reflect.Value, bool) {
	for _, i := range f.path {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// text prints a value.
func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "default"
		}
		v = v.Elem()
	}
	return fmt.Sprint(v.Interface())
}

// fields lists every value of an experiment, in the order of the struct.
func fields(t reflect.Type, prefix string, path []int) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		at, inner := append(append([]int{}, path...), i), f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			out = append(out, fields(inner, prefix+name+".", at)...)
			continue
		}
		out = append(out, field{prefix + name, at})
	}
	return out
}

// varying are the fields that are not the same in all experiments that have them.
func varying(all []study.Experiment) []field {
	var out []field
	for _, f := range fields(reflect.TypeFor[study.Experiment](), "", nil) {
		var first any
		for i := range all {
			v, ok := f.of(reflect.ValueOf(&all[i]).Elem())
			if !ok {
				continue
			}
			if first == nil {
				first = v.Interface()
			} else if !reflect.DeepEqual(first, v.Interface()) {
				out = append(out, f)
				break
			}
		}
	}
	return out
}
