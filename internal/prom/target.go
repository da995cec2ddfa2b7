package prom

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// DCGM is the default name of a dcgm-exporter.
const DCGM = "dcgm"

// Target is one entry of a list.
type Target struct {
	// Name is the unique name of the source.
	Name string
	// URL of the page.
	URL string
	// Metric is empty for a dcgm-exporter.
	Metric string
	// Labels are labels that the series must have.
	Labels []Label
	// Unit of the metric.
	Unit Unit
}

// Label is a name with its value.
type Label struct {
	// Name and Value are written as on the page.
	Name, Value string
}

// Unit is what a metric counts.
type Unit string

// units are the factors to watts or joules.
var units = map[Unit]struct {
	factor float64
	energy bool
}{
	"W": {1, false}, "mW": {1e-3, false},
	"J": {1, true}, "mJ": {1e-3, true}, "Wh": {3600, true}, "kWh": {3.6e6, true},
}

const unitNames = "W, mW, J, mJ, Wh or kWh"

// Energy reports whether the unit belongs to an energy counter, not to power.
func (u Unit) Energy() bool { return units[u].energy }

// Base converts a value to watts or joules.
func (u Unit) Base(v float64) float64 { return v * units[u].factor }

const (
	maxTargets = 64
	maxText    = 64 << 10
)

var (
	targetName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// ParseTargets parses a list.
func ParseTargets(text string) ([]Target, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the list of remote sources has %d bytes, more than %d", len(text), maxText)
	}
	entries, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errors.New(
			"names no remote source; want http://host:9400/metrics of a dcgm-exporter, or name=URL#metric:unit")
	}
	if len(entries) > maxTargets {
		return nil, fmt.Errorf("names %d remote sources, more than %d", len(entries), maxTargets)
	}
	var targets []Target
	for _, entry := range entries {
		t, err := parseTarget(entry)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
		for _, other := range targets {
			if other.Name == t.Name && !complements(t, other) {
				return nil, fmt.Errorf("%q: the name %s is already used; choose another name (other=%s)", entry,
					t.Name, t.URL)
			}
		}
		if len(slices.DeleteFunc(slices.Clone(targets), func(o Target) bool { return o.Name != t.Name })) > 1 {
			return nil, fmt.Errorf("%q: the name %s already has power and energy", entry, t.Name)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// complements reports whether one target is the power and the other the energy of a device.
func complements(a, b Target) bool {
	return a.Metric != "" && b.Metric != "" && a.Unit.Energy() != b.Unit.Energy()
}

// split splits at commas and spaces outside of braces.
func split(text string) ([]string, error) {
	var entries []string
	start, braces, quoted := 0, false, false
	flush := func(end int) {
		if e := strings.TrimSpace(text[start:end]); e != "" {
			entries = append(entries, e)
		}
		start = end + 1
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case braces && c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			braces = true
		case c == '}':
			braces = false
		case !braces && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			flush(i)
		}
	}
	if braces || quoted {
		return nil, errors.New(`has an open brace or quote; want metric{label="value"}:unit`)
	}
	flush(len(text))
	return entries, nil
}

func parseTarget(entry string) (Target, error) {
	t := Target{Name: DCGM}
	rest := entry
	if name, after, ok := strings.Cut(entry, "="); ok && !strings.ContainsAny(name, ":/#{") {
		if !targetName.MatchString(name) {
			return t, fmt.Errorf(
				"%q is not a valid name; use up to 32 lower-case letters, digits, - and _, beginning with a letter",
				name)
		}
		t.Name, rest = name, after
	} else if strings.Contains(entry, "#") {
		return t, errors.New("has no name; write name=URL#metric:unit")
	}
	address, metric, ok := strings.Cut(rest, "#")
	if err := checkURL(address); err != nil {
		return t, err
	}
	t.URL = address
	if !ok {
		return t, nil
	}
	return t, t.parseMetric(metric)
}

func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("is not a URL: %w", errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("is not the URL of a metrics page; write http://host:port/path")
	case u.User != nil:
		return errors.New("contains a user name or a password, which would appear in the results; let the exporter " +
			"answer without one")
	}
	return nil
}

// parseMetric parses metric{label="value",…}:unit.
func (t *Target) parseMetric(text string) error {
	unit := strings.LastIndexByte(text, ':')
	if brace := strings.LastIndexByte(text, '}'); unit < 0 || unit < brace {
		return fmt.Errorf("has no unit; end it with a colon and %s", unitNames)
	}
	t.Unit = Unit(text[unit+1:])
	if _, ok := units[t.Unit]; !ok {
		return fmt.Errorf("%q is not a unit; use %s", t.Unit, unitNames)
	}
	name, labels, ok := strings.Cut(text[:unit], "{")
	if !metricName.MatchString(name) {
		return fmt.Errorf("%q is not a valid metric name", name)
	}
	t.Metric = name
	if !ok {
		return nil
	}
	list, rest, err := parseLabels(labels)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q follows the labels", rest)
	}
	t.Labels = list
	return err
}

// Matches reports whether a series belongs to the target.
func (t Target) Matches(s Series) bool {
	if s.Name != t.Metric {
		return false
	}
	for _, l := range t.Labels {
		if s.Label(l.Name) != l.Value {
			return false
		}
	}
	return true
}

// String returns the metric with its labels in the page's format.
func (t Target) String() string { return Series{Name: t.Metric, Labels: t.Labels}.String() }
