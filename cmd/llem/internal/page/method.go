package page

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
)

// how fills the section on the method, from the files of the study's folder.
func (b *builder) how(o Options) error {
	dir := b.Dir
	b.model.Command = "llem run " + shell.Quote(filepath.Join(dir, store.StudyFile))
	b.model.Recompute = "llem report " + shell.Quote(dir) + " --recompute"
	if len(b.Experiments) > 0 {
		e := b.Experiments[0]
		b.model.Facts = append(b.model.Facts, Fact{"engine", strings.TrimSpace(e.Config.Backend + " " + e.Version)},
			Fact{"device", cmp.Or(e.Device, "–")}, Fact{"energy", cmp.Or(string(e.Provenance), "not measured")})
	}
	text, err := b.file(store.EnvFile)
	if err != nil {
		return err
	}
	var machine host.Snapshot
	if text != nil && json.Unmarshal(text, &machine) == nil {
		b.model.Facts = append(b.model.Facts, MachineFacts(&machine)...)
	}
	// The version that measured is cited; the page may be made by a later one.
	b.model.Cite = fmt.Sprintf("Study %q, measured with llem %s, %s. Folder with raw data: %s.", b.Name,
		cmp.Or(machine.Build.Version, o.Version), b.Finished.UTC().Format("2 January 2006"), filepath.Base(dir))
	if text, err = b.file(store.DoctorFile); err != nil {
		return err
	}
	b.model.SelfTest = selfTest(text)
	return nil
}

// file reads a file of the study's folder; nil if it is missing.
func (b *builder) file(name string) ([]byte, error) {
	if b.Dir == "" {
		return nil, nil
	}
	text, err := disk.ReadFile(filepath.Join(b.Dir, name), disk.MaxSmall)
	if errors.Is(err, fs.ErrNotExist) || err != nil && len(b.Rows) == 0 {
		return nil, nil
	}
	return text, err
}

// MachineFacts describe a machine, as far as it was found out.
func MachineFacts(s *host.Snapshot) (out []Fact) {
	add := func(name string, parts ...string) {
		if text := strings.Join(strings.Fields(strings.Join(parts, " ")), " "); text != "" {
			out = append(out, Fact{name, text})
		}
	}
	for _, g := range s.GPUs {
		facts := said(g.Name)
		if v := g.VRAMTotalBytes; v != nil {
			facts += ", " + digits.Bytes(*v).String()
		}
		if w := g.PowerLimitW; w != nil {
			facts += fmt.Sprintf(", power limit %.0f W", *w)
			if d := g.PowerLimitDefaultW; d != nil && *d != *w {
				facts += fmt.Sprintf(" (default %.0f W)", *d)
			}
		}
		add(fmt.Sprintf("GPU %d", g.Index), facts)
	}
	if d := said(s.CUDA.DriverVersion); d != "" {
		add("driver", d, "· CUDA", said(s.CUDA.RuntimeVersion))
	}
	cpu := said(s.CPU.Model)
	if n := s.CPU.CoresUsable; n != nil && cpu != "" {
		cpu += fmt.Sprintf(", %g hardware threads usable", *n)
	}
	add("processor", cpu)
	if m := s.Memory.RAMTotalBytes; m != nil {
		add("memory", digits.Bytes(*m).String())
	}
	add("system", said(s.OS.Name), said(s.OS.Version), said(s.OS.Kernel), said(s.OS.Arch))
	if v := said(s.OS.Virtualisation.Hypervisor); v != "none" {
		add("virtual machine", v)
	}
	if v := said(s.OS.Virtualisation.Container); v != "none" {
		add("container", v)
	}
	add("measured with", "llem", s.Build.Version)
	return out
}

func said(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// tested is what the self-test of the sensors found.
type tested struct {
	When string
	// Without is why there is no self-test, Next the command that runs it.
	Without, Next string
	Findings      []finding
	Text          string
}

type finding struct{ Level, Text, Next string }

// selfTest reads doctor.json: a report of `llem doctor`, or why there is none.
func selfTest(text []byte) tested {
	kept := doctor.ReadStored(text)
	if kept.Report == nil {
		return tested{Without: kept.Without, Next: kept.Next}
	}
	r := kept.Report
	out := tested{When: r.When.UTC().Format("2006-01-02 15:04 MST")}
	for _, f := range r.Verdict {
		out.Findings = append(out.Findings, finding{string(f.Level), f.Line(), f.Next})
	}
	var all strings.Builder
	r.Text(&all)
	out.Text = all.String()
	return out
}

// doubts lists the warnings of the study, of its configurations and of its runs, the heaviest first, with what their
// codes mean.
func (b *builder) doubts() {
	for _, n := range b.Caveats {
		b.doubt(string(n.Code), n.Message, "")
	}
	for _, c := range view.Shared(b.Experiments, view.NameConfigurations(b.StudyResult)) {
		b.doubt(string(c.Code), c.Message, c.Where)
	}
	for _, d := range view.Doubts(b.StudyResult) {
		b.doubt(string(d.Code), d.Message, fmt.Sprintf("%d of %d runs", d.Runs, view.Runs(b.StudyResult)))
	}
	slices.SortStableFunc(b.model.Doubts, func(x, y doubt) int { return cmp.Compare(x.weight, y.weight) })
}

// doubt adds a warning to the group of its effect.
func (b *builder) doubt(code, message, runs string) {
	d := doubt{Code: code, Message: message, Runs: runs}
	d.Meaning, d.Effect, d.weight = meaning(code)
	if d.Meaning == "" {
		d.Meaning, d.Message = message, ""
	}
	b.model.Doubts = append(b.model.Doubts, d)
}

// meaning returns what a code means, and what it does to the numbers: the heaviest effect has the least weight.
func meaning(code string) (text, effect string, weight int) {
	for _, e := range codes.Codes() {
		if string(e.Code) == code {
			of := e.Consequence.Effect()
			return e.Meaning, effects[of], slices.Index([]codes.Effect{codes.Refuses, codes.Flags, codes.Cautions,
				codes.NoEffect}, of)
		}
	}
	return "", "", len(effects) // of another version: last
}

// effects are what doubts do to numbers.
var effects = map[codes.Effect]string{
	codes.Refuses:  "refused: the number is null",
	codes.Flags:    "flag: a number may be off by more than its interval",
	codes.Cautions: "caution",
	codes.NoEffect: "note: the numbers are valid",
}
