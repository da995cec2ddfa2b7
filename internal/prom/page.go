package prom

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Series is one line of a page.
type Series struct {
	// Name of the metric.
	Name string
	// Labels of the series, in their order on the page.
	Labels []Label
	// Value is the value on the page, in the metric's unit.
	Value float64
}

// Label returns the value of a label, or "".
func (s Series) Label(name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String returns the series without its value.
func (s Series) String() string {
	if len(s.Labels) == 0 {
		return s.Name
	}
	var b strings.Builder
	for i, l := range s.Labels {
		b.WriteString([]string{"{", ","}[min(i, 1)])
		b.WriteString(l.Name + "=" + strconv.Quote(l.Value))
	}
	return s.Name + b.String() + "}"
}

// ErrHTML is the error for a page for people.
var ErrHTML = errors.New("it is a web page, not a metrics page")

// ErrNoMetrics is the error for a page without a line of metrics.
var ErrNoMetrics = errors.New("it has no metrics")

// ErrMany is the error for a page with more series of the wanted metrics than any exporter has.
var ErrMany = errors.New("it has too many series of one metric")

// mostSeries bounds the number of wanted series of a page.
const mostSeries = 10_000

// Parse reads the lines of a page whose metric is wanted. It skips other lines, so that a line that it cannot
// parse does no harm. It ignores a time stamp after a value.
func Parse(page []byte, wanted func(metric string) bool) ([]Series, error) {
	if b := bytes.TrimLeft(page, " \t\r\n\ufeff"); len(b) > 0 && b[0] == '<' {
		return nil, ErrHTML
	}
	var list []Series
	metrics := false
	number := 0
	for line := range bytes.Lines(page) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			metrics = metrics || bytes.HasPrefix(line, []byte("# TYPE "))
			continue
		}
		end := bytes.IndexAny(line, "{ \t")
		if end < 0 {
			continue
		}
		name := string(line[:end])
		if !metricName.MatchString(name) {
			continue
		}
		if !wanted(name) {
			metrics = metrics || line[end] == '{' || endsInNumber(line)
			continue
		}
		s, err := parseSeries(name, string(line[end:]))
		if err != nil {
			return nil, fmt.Errorf("line %d, %s: %w", number, name, err)
		}
		metrics = true
		if len(list) == mostSeries {
			return nil, fmt.Errorf("%w: more than %d, the last of %s", ErrMany, mostSeries, name)
		}
		list = append(list, s)
	}
	if !metrics {
		return nil, ErrNoMetrics
	}
	return list, nil
}

func endsInNumber(line []byte) bool {
	_, err := strconv.ParseFloat(string(line[bytes.LastIndexAny(line, " \t")+1:]), 64)
	return err == nil
}

// parseSeries parses the text after the name: labels, value, and an optional time stamp.
func parseSeries(name, rest string) (Series, error) {
	s := Series{Name: name}
	rest = strings.TrimLeft(rest, " \t")
	if labels, ok := strings.CutPrefix(rest, "{"); ok {
		var err error
		if s.Labels, rest, err = parseLabels(labels); err != nil {
			return s, err
		}
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return s, errors.New("it has no value")
	}
	v, err := strconv.ParseFloat(fields[0], 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return s, fmt.Errorf("%q is not a number", fields[0])
	}
	s.Value = v
	return s, nil
}

// parseLabels parses name="value",…} and returns the text after the brace.
func parseLabels(text string) (list []Label, rest string, err error) {
	for {
		text = strings.TrimLeft(text, " \t,")
		if after, ok := strings.CutPrefix(text, "}"); ok {
			return list, after, nil
		}
		name, after, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !ok || !labelName.MatchString(name) {
			return nil, "", errors.New(`its labels are not understood; want {name="value",…}`)
		}
		value, after, err := parseQuoted(strings.TrimLeft(after, " \t"))
		if err != nil {
			return nil, "", fmt.Errorf("label %s: %w", name, err)
		}
		list, text = append(list, Label{name, value}), after
	}
}

// parseQuoted reads a value in quotes, where \\, \" and \n are escapes.
func parseQuoted(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", errors.New("its value is not in quotes")
	}
	if end := strings.IndexAny(text[1:], `"\`); end >= 0 && text[1+end] == '"' {
		return text[1 : 1+end], text[2+end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("its quotes are not closed")
}
