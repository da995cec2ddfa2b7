package publish

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/result"
)

// column is a column of runs.parquet: texts or numbers, nil where a run has none.
type column struct {
	name  string
	texts []*string
	reals []*float64
	whole []*int64
}

// runsTable is the table of runs: a row for each run, with what was varied and all metrics that any run has.
func runsTable(s *result.StudyResult, rows []result.Row) ([]byte, error) {
	var columns []column
	text := func(name string, of func(r result.Row) string) {
		c := column{name: name, texts: make([]*string, len(rows))}
		for i, r := range rows {
			if v := of(r); v != "" {
				c.texts[i] = &v
			}
		}
		columns = append(columns, c)
	}
	number := func(name string, of func(r result.Row) (float64, bool)) {
		c, known := column{name: name, reals: make([]*float64, len(rows))}, false
		for i, r := range rows {
			if v, ok := of(r); ok {
				c.reals[i], known = &v, true
			}
		}
		if known {
			columns = append(columns, c)
		}
	}
	text("run", func(r result.Row) string { return result.RunPath(r.ID, r.Cycle) })
	text("id", func(r result.Row) string { return r.ID })
	cycles := column{name: "cycle", whole: make([]*int64, len(rows))}
	for i, r := range rows {
		n := int64(r.Cycle)
		cycles.whole[i] = &n
	}
	columns = append(columns, cycles)
	text("status", func(r result.Row) string { return string(r.Status) })
	for _, c := range varied(s) {
		columns = append(columns, c.column(rows))
	}
	text("device", func(r result.Row) string { return r.Device })
	text("dtype", func(r result.Row) string { return r.DType })
	text("engine_version", func(r result.Row) string { return r.Version })
	text("provenance", func(r result.Row) string { return string(r.Provenance) })
	text("failure", func(r result.Row) string { return string(r.Class) })
	text("warnings", func(r result.Row) string {
		words := make([]string, len(r.Warnings))
		for i, w := range r.Warnings {
			words[i] = string(w)
		}
		return strings.Join(words, ",")
	})
	text("workload_hash", func(r result.Row) string { return r.WorkloadHash })
	for _, m := range result.Metrics() {
		number(m.Name, func(r result.Row) (float64, bool) { return r.Values.Get(m.Name) })
	}
	return encode(columns, len(rows))
}

// setting is a key that is named in the table, with its value for each configuration.
type setting struct {
	name string
	of   map[string]string
}

// varied are the model, the backend and the keys that vary in the study.
func varied(s *result.StudyResult) []setting {
	model, backend := setting{"model", map[string]string{}}, setting{"backend", map[string]string{}}
	for _, e := range s.Experiments {
		model.of[e.ID], backend.of[e.ID] = e.Config.Model, e.Config.Backend
	}
	out := []setting{model, backend}
	named := view.NameConfigurations(s)
	for k, head := range named.AllHeads() {
		if head == "model" || head == "backend" || head == "dtype" || head == "cycle" {
			continue
		}
		next := setting{"config." + head, map[string]string{}}
		for i, e := range s.Experiments {
			next.of[e.ID] = named.Cells(i)[k]
		}
		out = append(out, next)
	}
	return out
}

// column is the setting of each run, as numbers if all of its values are.
func (s setting) column(rows []result.Row) column {
	c := column{name: s.name, texts: make([]*string, len(rows)), reals: make([]*float64, len(rows)),
		whole: make([]*int64, len(rows))}
	for i, r := range rows {
		v, ok := s.of[r.ID]
		if !ok {
			continue
		}
		c.texts[i] = &v
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && c.whole != nil {
			c.whole[i] = &n
		} else {
			c.whole = nil
		}
		if x, err := strconv.ParseFloat(v, 64); err == nil && c.reals != nil {
			c.reals[i] = &x
		} else {
			c.reals = nil
		}
	}
	if c.whole != nil {
		c.reals = nil
	}
	return c
}

// encode writes columns as a Parquet file.
func encode(columns []column, rows int) ([]byte, error) {
	fields, seen := make([]reflect.StructField, 0, len(columns)), map[string]bool{}
	kept := columns[:0]
	for _, c := range columns {
		if seen[c.name] {
			continue
		}
		seen[c.name] = true
		kept = append(kept, c)
		kind := reflect.TypeFor[*string]()
		switch {
		case c.reals != nil:
			kind = reflect.TypeFor[*float64]()
		case c.whole != nil:
			kind = reflect.TypeFor[*int64]()
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(len(fields)), Type: kind,
			Tag: reflect.StructTag(fmt.Sprintf(`parquet:"%s,optional"`, strings.Map(plainName, c.name)))})
	}
	row := reflect.New(reflect.StructOf(fields))
	var out bytes.Buffer
	w := parquet.NewWriter(&out, parquet.SchemaOf(row.Interface()), parquet.Compression(&zstd.Codec{}),
		parquet.CreatedBy("llem", "1", ""))
	for i := range rows {
		for k, c := range kept {
			var v any
			switch {
			case c.reals != nil:
				v = c.reals[i]
			case c.whole != nil:
				v = c.whole[i]
			default:
				v = c.texts[i]
			}
			row.Elem().Field(k).Set(reflect.ValueOf(v))
		}
		if err := w.Write(row.Interface()); err != nil {
			return nil, fmt.Errorf("write %s: %w", runsFile, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write %s: %w", runsFile, err)
	}
	return out.Bytes(), nil
}

// plainName keeps the characters that the name of a column may have.
func plainName(r rune) rune {
	if r == ',' || r == '"' || r == '`' || r == '\\' || r < ' ' {
		return '_'
	}
	return r
}
