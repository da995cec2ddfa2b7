package screen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// doubt is a caution with its effect on the numbers.
type doubt struct {
	note.Note
	effect codes.Effect
	// in names the runs or configurations that it is about; empty is all.
	in string
}

// effects are the effects by weight, the heaviest first.
var effects = []codes.Effect{codes.Refuses, codes.Flags, codes.Cautions, codes.NoEffect}

func doubtOf(n note.Note, in string) doubt {
	d := doubt{Note: n, effect: codes.Cautions, in: in}
	if entry, known := codes.Lookup(n.Code); known {
		d.effect = entry.Consequence.Effect()
	}
	return d
}

// background are codes about the machine as such: of the doubts of one effect they are the last.
var background = []note.Code{codes.VirtualMachine, codes.NoisyHost, codes.GovernorPowersave, codes.GovernorMixed,
	codes.CPUQuota, codes.SwapInUse}

// weight orders doubts: by their effect, those about the window's energy first and those about the machine last.
func (d doubt) weight() int {
	n := 3*slices.Index(effects, d.effect) + 1
	switch {
	case d.Code == codes.ShortWindow:
		return n - 1
	case slices.Contains(background, d.Code):
		return n + 1
	}
	return n
}

// ranked puts the heaviest first; among equals the order stays.
func ranked(all []doubt) []doubt {
	slices.SortStableFunc(all, func(a, b doubt) int { return a.weight() - b.weight() })
	return all
}

// doubtsOf are the doubts about a run, and about its study.
func doubtsOf(r *result.Record, s *result.StudyResult) []doubt {
	var all []doubt
	for _, n := range slices.Concat(r.Warnings, s.Caveats) {
		all = append(all, doubtOf(n, ""))
	}
	return ranked(all)
}

// told returns the codes that the headline of a run already shows.
func told(r *result.Record) []note.Code {
	out := []note.Code{codes.Synthetic}
	if r.Energy.Provenance == result.Simulated {
		out = append(out, codes.Simulated)
	}
	if code := codes.WithheldBy(r.Warnings.Codes()); code != "" {
		out = append(out, code)
	}
	return out
}

// cautionsShown is how many cautions are printed, and cautionLines how many lines of each.
const (
	cautionsShown = 2
	cautionLines  = 2
)

// cautions writes the heaviest doubts, except the codes in told, and the number of the rest, which are in the report of
// the folder.
func (p *page) cautions(dir string, all []doubt, told []note.Code) {
	all = slices.DeleteFunc(all, func(d doubt) bool { return slices.Contains(told, d.Code) })
	shown := 0
	for _, d := range all {
		if shown == cautionsShown || d.effect == codes.NoEffect {
			break
		}
		shown++
		word := d.effect.Word()
		if d.in != "" {
			word += " (" + d.in + ")"
		}
		p.painted(yellow, "", "  ", word+": "+d.Message, cautionLines)
	}
	cautions, notes := 0, 0
	for _, d := range all[shown:] {
		if d.effect == codes.NoEffect {
			notes++
		} else {
			cautions++
		}
	}
	var parts []string
	if cautions > 0 {
		parts = append(parts, digits.Count(cautions, "more caution"))
	}
	if notes > 0 {
		parts = append(parts, digits.Count(notes, "note"))
	}
	p.command(strings.Join(append(parts, "all numbers"), ", "), "llem report -v "+shell.Path(dir),
		"one line to paste: --line")
}

// ofRuns returns "N of ALL runs", or nothing for all of them.
func ofRuns(n, all int) string {
	if n >= all {
		return ""
	}
	return fmt.Sprintf("%d of %s", n, digits.Count(all, "run"))
}
