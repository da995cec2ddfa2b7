package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const wantFormat = "give a trace of Azure, BurstGPT, Mooncake, Bailian or llem: docs/load.md has their forms"

// recognise finds the format by the first line, and reports whether that line is only a header.
func (s *reading) recognise(line []byte) (header bool, err error) {
	switch line[0] {
	case '[':
		return false, s.errorf("give it as workload.dataset, with load.kind poisson and a rate",
			"a list of conversations has no times")
	case '{':
		return s.recogniseJSON(line)
	}
	columns := splitCSV(string(line))
	at := func(name string) int { return slices.Index(columns, name) }
	for _, c := range []struct {
		name                         string
		time, input, output, session string
		stamp                        func(string) (int64, error)
	}{
		{"azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens", "", parseDate},
		{"burstgpt", "Timestamp", "Request tokens", "Response tokens", "Session ID", parseSeconds},
	} {
		if at(c.time) < 0 || at(c.input) < 0 || at(c.output) < 0 {
			continue
		}
		if at("NumImages") >= 0 {
			return false, s.errorf("give a trace of text", "requests of this trace have images")
		}
		s.format = &format{name: c.name, parse: csvParser(len(columns), at(c.time), at(c.input), at(c.output),
			at(c.session), c.stamp)}
		return true, nil
	}
	return false, s.errorf(wantFormat, "the first line, %.60q, is not the header of a known trace", line)
}

// splitCSV splits a line at commas outside of quotes.
func splitCSV(line string) (out []string) {
	quoted, from := false, 0
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			out = append(out, unquote(line[from:i]))
			from = i + 1
		}
	}
	return append(out, unquote(line[from:]))
}

func unquote(cell string) string {
	cell = strings.TrimSpace(cell)
	if len(cell) >= 2 && cell[0] == '"' && cell[len(cell)-1] == '"' {
		return strings.ReplaceAll(cell[1:len(cell)-1], `""`, `"`)
	}
	return cell
}

func csvParser(columns, at, input, output, session int, stamp func(string) (int64, error)) func([]byte, *row) error {
	return func(line []byte, r *row) (err error) {
		cells := splitCSV(string(line))
		if len(cells) != columns {
			return fmt.Errorf("%d columns, want the %d of the header", len(cells), columns)
		}
		if r.at, err = stamp(cells[at]); err != nil {
			return err
		}
		if r.input, err = parseTokens(cells[input]); err != nil {
			return err
		}
		if r.output, err = parseTokens(cells[output]); err != nil {
			return err
		}
		if session >= 0 {
			r.session = cells[session]
		}
		return nil
	}
}

// parseDate reads 2023-11-16 18:17:03.9799600, with a zone or without one, and with a fraction or without one.
func parseDate(text string) (int64, error) {
	if text == "" {
		return 0, errors.New("the time is missing")
	}
	t, err := time.Parse("2006-01-02 15:04:05.999999999", text)
	if err != nil {
		t, err = time.Parse("2006-01-02 15:04:05.999999999Z07:00", text)
	}
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return 0, fmt.Errorf("%.40q is not a time such as 2023-11-16 18:17:03.9799600", text)
	}
	return t.UnixNano(), nil
}

func parseSeconds(text string) (int64, error) {
	if text == "" {
		return 0, errors.New("the time is missing")
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a time in seconds", text)
	}
	return nanoseconds(v, 1e9)
}

// nanoseconds converts a stamp whose unit has this number of nanoseconds.
func nanoseconds(v, unit float64) (int64, error) {
	const most = 1e18 // 30 years
	if !(v*unit >= 0 && v*unit <= most) {
		return 0, fmt.Errorf("the time %g is not from 0 to 30 years", v)
	}
	return int64(math.Round(v * unit)), nil
}

func parseTokens(text string) (int64, error) {
	if text == "" {
		return 0, errors.New("a number of tokens is missing")
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	v, err := strconv.ParseFloat(text, 64) // 12.0, as some programs write whole numbers
	if err != nil || v != math.Trunc(v) || math.Abs(v) > 1e15 {
		return 0, fmt.Errorf("%.40q is not a number of tokens", text)
	}
	return int64(v), nil
}

// object is a line of any format of JSON lines. Pointers tell which keys are there.
type object struct {
	Timestamp *float64 `json:"timestamp"`
	Input     *float64 `json:"input_length"`
	Output    *float64 `json:"output_length"`
	Hashes    []int64  `json:"hash_ids"`
	Chat      *int64   `json:"chat_id"`
	Parent    *int64   `json:"parent_chat_id"`

	Version   *int     `json:"llem_trace"`
	Block     int      `json:"block_tokens"`
	AtS       *float64 `json:"at_s"`
	OwnInput  *float64 `json:"input"`
	OwnOutput *float64 `json:"output"`
	Session   string   `json:"session"`
	Blocks    []int64  `json:"blocks"`
	WaitS     *float64 `json:"wait_s"`
}

func decode(line []byte) (object, error) {
	var q object
	if err := json.Unmarshal(line, &q); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return q, fmt.Errorf("%s is %s, want %s", wrong.Field, wrong.Value, wrong.Type)
		}
		return q, fmt.Errorf("not an object of JSON: %w", err)
	}
	return q, nil
}

// Sizes of blocks, as the authors of the formats publish them.
const (
	mooncakeBlock = 512
	bailianBlock  = 16
	maxBlock      = 1 << 20
)

func (s *reading) recogniseJSON(line []byte) (header bool, err error) {
	q, err := decode(line)
	switch {
	case err != nil:
		return false, s.errorf(wantFormat, "%v", err)
	case q.Version != nil:
		if *q.Version != 1 || q.Block < 0 || q.Block > maxBlock {
			return false, s.errorf(`write {"llem_trace": 1, "block_tokens": 64}`,
				"version %d with blocks of %d tokens is not known", *q.Version, q.Block)
		}
		s.format = &format{"llem", q.Block, true, parseOwn(q.Block)}
		return true, nil
	case q.Chat != nil && q.Timestamp != nil:
		s.format = &format{"bailian", bailianBlock, false, parseLengths(1e9)}
	case q.Timestamp != nil && q.Input != nil:
		s.format = &format{"mooncake", mooncakeBlock, false, parseLengths(1e6)}
	case bytes.Contains(line, []byte(`"conversations"`)), bytes.Contains(line, []byte(`"messages"`)):
		return false, s.errorf("give it as workload.dataset, with load.kind poisson and a rate",
			"conversations without times")
	default:
		return false, s.errorf(wantFormat, "the first line, %.60q, is not a request of a known trace", line)
	}
	return false, nil
}

// parseLengths reads lines with timestamp, input_length and output_length; unit is the nanoseconds of the stamp's unit.
func parseLengths(unit float64) func([]byte, *row) error {
	return func(line []byte, r *row) error {
		q, err := decode(line)
		if err != nil {
			return err
		}
		err = r.set(q.Timestamp, unit, q.Input, q.Output, "timestamp", "input_length", "output_length")
		if err != nil {
			return err
		}
		r.blocks = append(r.blocks, q.Hashes...)
		if q.Chat != nil {
			r.id = *q.Chat
		}
		if q.Parent != nil {
			r.parent = *q.Parent
		}
		return nil
	}
}

func parseOwn(block int) func([]byte, *row) error {
	return func(line []byte, r *row) error {
		q, err := decode(line)
		if err != nil {
			return err
		}
		if err = r.set(q.AtS, 1e9, q.OwnInput, q.OwnOutput, "at_s", "input", "output"); err != nil {
			return err
		}
		if len(q.Blocks) > 0 && block == 0 {
			return errors.New(`blocks need their size in the first line: {"llem_trace": 1, "block_tokens": 64}`)
		}
		r.blocks, r.session = append(r.blocks, q.Blocks...), q.Session
		if q.WaitS == nil {
			return nil
		}
		if q.Session == "" {
			return errors.New("wait_s is the pause after the turn before it: name its session")
		}
		if r.wait, err = nanoseconds(*q.WaitS, 1e9); err != nil {
			return fmt.Errorf("wait_s: %w", err)
		}
		return nil
	}
}

// set checks and stores a time and two lengths; names are their keys.
func (r *row) set(at *float64, unit float64, input, output *float64, names ...string) (err error) {
	for i, v := range []*float64{at, input, output} {
		if v == nil {
			return fmt.Errorf("%s is missing", names[i])
		}
	}
	if r.at, err = nanoseconds(*at, unit); err != nil {
		return err
	}
	for _, v := range []*float64{input, output} {
		if *v != math.Trunc(*v) || math.Abs(*v) > 1e15 {
			return fmt.Errorf("%g is not a number of tokens", *v)
		}
	}
	r.input, r.output = int64(*input), int64(*output)
	return nil
}
