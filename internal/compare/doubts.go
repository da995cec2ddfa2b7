package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// doubts returns reasons to doubt that only the settings differ between the sides. Sides that are compared within
// machines may be from different ones of one kind.
func doubts(a, b Side, at *place) []string {
	var out []string
	if x, y := cards(a.Runs), cards(b.Runs); x != "" && y != "" && x != y {
		out = append(out, fmt.Sprintf("the sides ran on different GPUs: A on %s, B on %s; the difference "+
			"between the cards "+
			"counts as a difference of the configurations", x, y))
	} else if x, y := uuids(a.Runs), uuids(b.Runs); at == nil && len(x) > 0 && len(y) > 0 && !slices.Equal(x, y) {
		out = append(out, fmt.Sprintf("the sides ran on different GPUs of one kind (A %s, B %s), which can differ by "+
			"several percent in power", strings.Join(x, ", "), strings.Join(y, ", ")))
	}
	if at == nil && a.Machine != "" && b.Machine != "" && a.Machine != b.Machine {
		out = append(out, fmt.Sprintf("the sides ran on different machines or kernels: A on %s; B on %s", a.Machine,
			b.Machine))
	}
	if text := otherLoads(a.Runs[0].Config.Workload, b.Runs[0].Config.Workload); text != "" {
		out = append(out, text)
	}
	if by := stopped(a, b); by != "" {
		out = append(out, by)
	}
	return out
}

// otherLoads returns the caution that the sides have different loads; empty if they do not.
func otherLoads(a, b study.Workload) string {
	x, y := loadOf(a), loadOf(b)
	if x == y || !a.Load.Open() && !b.Load.Open() {
		return ""
	}
	return fmt.Sprintf("the sides have different loads (A %s, B %s): what an engine takes for a token depends on "+
		"its load, "+
		"and the difference counts as a difference of the configurations; next: compare at one load, or all loads of "+
		"two configurations by the folders of their studies (docs/load.md)", x, y)
}

// loadOf is a load in words.
func loadOf(w study.Workload) string {
	switch l := w.Load; {
	case !l.Open() && w.Concurrency > 0:
		return fmt.Sprintf("%d in flight", w.Concurrency)
	case !l.Open():
		return "all requests at once"
	case l.Trace != "":
		return naming.Replayed(l)
	case l.CV > 0:
		return fmt.Sprintf("%s with cv %g at %g requests/s", l.Kind, l.CV, l.Rate)
	case l.Rates != "":
		return "rates " + l.Rates
	default:
		return fmt.Sprintf("%s at %g requests/s", l.Kind, l.Rate)
	}
}

// stopped returns the caution that a stop rule determined the number of runs; empty if not.
func stopped(a, b Side) string {
	which, by := "A and B", cmp.Or(a.Until, b.Until)
	switch {
	case by == "":
		return ""
	case b.Until == "":
		which = "A"
	case a.Until == "":
		which = "B"
	}
	return fmt.Sprintf("execution.until (%s) determined the number of cycles of %s: runs that happen to lie "+
		"close together "+
		"end early, so the intervals are somewhat too narrow, especially below 5 cycles", by, which)
}

// cards returns the names of the counted GPUs.
func cards(runs []*result.Record) string {
	var out []string
	for _, r := range runs {
		for _, d := range r.Energy.Devices {
			if d.Kind == "gpu" && d.Counted && d.Name != "" && !slices.Contains(out, d.Name) {
				out = append(out, d.Name)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// uuids returns the GPUs that held the model.
func uuids(runs []*result.Record) []string {
	var out []string
	for _, r := range runs {
		for _, id := range r.Backend.GPUs {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return out
}
