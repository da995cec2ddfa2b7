package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/scrub"
	"github.com/llenergymeasure/llem/internal/table"
)

// answers are the first lines.
var answers = map[State]string{
	Verified: "VERIFIED: every number follows from the raw files, and no file has changed.",
	Partly:   "PARTLY VERIFIED: the numbers that could be checked follow from the raw files; not all could be.",
	Differs:  "NOT VERIFIED: a number does not follow from the raw files, or a file has changed.",
	Nothing:  "NOTHING TO VERIFY: no run has numbers and raw files.",
}

// mostShown is how many problems are printed.
const mostShown = 8

// limits is what no check of files can show.
const limits = "This compares numbers with raw files. It cannot show that the raw files were measured as they " +
	"say, nor that " +
	"a sensor is right beyond its self-test."

// Text is the verdict for a reader, in lines of a width; 0 is any.
func (v *Verdict) Text(width int) string {
	var b strings.Builder
	width = cmp.Or(width, 100)
	b.WriteString(table.Wrap("", "", answers[v.State], width))
	line := func(head, text string) {
		b.WriteString(table.Wrap(fmt.Sprintf("  %-11s ", head), strings.Repeat(" ", 14), text, width))
	}
	line("study", v.about())
	if v.Running != "" {
		line("running", v.Running+": runs that finish later are not in this verdict")
	}
	recomputed := digits.Count(v.Recomputed, "run") + ", " + digits.Count(v.Numbers, "number")
	if v.Recomputed > 0 {
		recomputed += ", all match"
	}
	line("recomputed", recomputed)
	if not := v.notChecked(); not != "" {
		line("not checked", not)
	}
	for i, p := range v.Problems {
		if i == mostShown {
			line("", fmt.Sprintf("and %d more; --json lists all", len(v.Problems)-mostShown))
			break
		}
		line("differs", p.Of+": "+p.What)
		if p.Next != "" {
			line("", "next: "+p.Next)
		}
	}
	if v.Replaced > 0 {
		line("copy", "private texts were replaced in "+digits.Count(v.Replaced, "file")+" before it was shared; "+
			scrub.File+" has the checksums of the originals")
	}
	line("energy", v.Origin())
	line("self-test", v.SelfTestText())
	b.WriteString("\n" + table.Wrap("", "", limits, width))
	return b.String()
}

// about names the study.
func (v *Verdict) about() string {
	text := fmt.Sprintf("%s, %s", v.Study, digits.Count(v.Planned, "planned run"))
	if !v.Complete {
		text += ", not complete"
	}
	if !v.Finished.IsZero() {
		text += ", " + v.Finished.UTC().Format("2 January 2006")
	}
	if v.MeasuredWith != "" {
		text += ", with llem " + v.MeasuredWith
	}
	return text
}

// notChecked lists what could not be checked, and why.
func (v *Verdict) notChecked() string {
	var parts []string
	if v.WithoutNumbers > 0 {
		parts = append(parts, digits.Count(v.WithoutNumbers, "run")+" without numbers (failed, interrupted or refused)")
	}
	if v.WithoutSeries > 0 {
		parts = append(parts, digits.Count(v.WithoutSeries, "run")+" whose raw files were left out")
	}
	if v.Superseded {
		parts = append(parts, "summary.json of an earlier version, which reports do not use")
	}
	if v.Unchecked > 0 {
		parts = append(parts, "the files of "+digits.Count(v.Unchecked, "run")+
			", which have no checksums (an early version)")
	}
	return strings.Join(parts, "; ")
}

// Origin returns where the energy is from.
func (v *Verdict) Origin() string {
	var parts []string
	for _, of := range []string{"measured", "modelled", "simulated", "none"} {
		if n := v.Energy[of]; n > 0 {
			parts = append(parts,
				fmt.Sprintf("%s in %s",
					map[string]string{"measured": "measured", "modelled": "MODELLED, not measured",
						"simulated": "SIMULATED, not measured", "none": "not measured"}[of],
					digits.Count(n, "configuration")))
		}
	}
	text := strings.Join(parts, ", ")
	if len(v.Devices) > 0 {
		devices := slices.Clone(v.Devices)
		slices.Sort(devices)
		text += ", on " + strings.Join(devices, ", ")
	}
	return text
}

// SelfTestText returns what the self-test found.
func (v *Verdict) SelfTestText() string {
	t := v.SelfTest
	if t.When == nil {
		return strings.Join(t.Findings, "; ")
	}
	text := t.Level + ", " + t.When.UTC().Format("2 January 2006")
	if len(t.Findings) > 0 {
		text += ": " + strings.Join(t.Findings, "; ")
	}
	return text
}
