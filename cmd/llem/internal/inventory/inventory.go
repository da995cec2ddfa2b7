// Package inventory shows what this machine has for a study: engines, power sensors, GPUs, runners and settings; or
// each value of a study with its origin.
package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/llenergymeasure/llem/internal/cluster"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/study"
)

// View is what is shown; its JSON is the document of `llem config --json`.
type View struct {
	Version  string         `json:"version"`
	Engines  []Engine       `json:"engines,omitempty"`
	Sensors  []Sensor       `json:"sensors,omitempty"`
	File     string         `json:"settings_file"`
	FileRead bool           `json:"settings_file_read"`
	Study    *Study         `json:"study,omitempty"`
	Settings []study.Origin `json:"settings"`
	Warnings []string       `json:"warnings"`
	snapshot *host.Snapshot
}

// Engine is an engine, and whether it can be used.
type Engine struct {
	Name     string            `json:"name"`
	Usable   bool              `json:"usable"`
	Version  string            `json:"version,omitempty"`
	Device   string            `json:"device,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Next     string            `json:"next,omitempty"`
}

// Sensor is a power sensor, and whether it can be read.
type Sensor struct {
	Source   string `json:"source"`
	Readable bool   `json:"readable"`
	Device   string `json:"device,omitempty"`
	Name     string `json:"name,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Next     string `json:"next,omitempty"`
}

// Study is the study whose values are shown.
type Study struct {
	Path        string `json:"path,omitempty"`
	Name        string `json:"name,omitempty"`
	Experiments int    `json:"experiments"`
}

// StudyText returns every value of a study with its origin.
func (v *View) StudyText() string {
	var b strings.Builder
	name, file := "study", "the user's file"
	for _, text := range []string{v.Study.Path, v.Study.Name} {
		if text != "" {
			name = text
		}
	}
	if v.File != "" {
		file = v.File
	}
	fmt.Fprintf(&b, "%s: %s; flags over the study over the environment over %s over defaults\n", name,
		digits.Count(v.Study.Experiments, "experiment"), file)
	v.settings(&b)
	return b.String()
}

// settings prints settings in columns.
func (v *View) settings(b *strings.Builder) {
	widest := 0
	for _, o := range v.Settings {
		widest = max(widest, min(24, table.Width(valueOf(o))))
	}
	clusters := false
	for _, o := range v.Settings {
		if o.Value == "" && ofCluster(o.Key) {
			clusters = true
			continue
		}
		fmt.Fprintf(b, "  %s %s  %s\n", table.Pad(o.Key, 36), table.Pad(valueOf(o), widest), o.From)
	}
	if clusters {
		b.WriteString("  more keys of slurm and kubernetes can be set: docs/submit.md\n")
	}
	for _, w := range v.Warnings {
		fmt.Fprintf(b, "warning: %s\n", w)
	}
}

// valueOf returns the value of a setting, with its unit if the key does not have it.
func valueOf(o study.Origin) string {
	switch {
	case o.Value == "":
		return table.Missing
	case o.Unit != "" && !strings.ContainsFunc(o.Value, unicode.IsLetter):
		return o.Value + " " + o.Unit
	}
	return o.Value
}

// ofCluster reports whether a key is about the jobs of a cluster. There are many, and most are not set.
func ofCluster(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	return section == cluster.OnSlurm || section == cluster.OnKubernetes
}

// Look finds the engines, sensors and GPUs of this machine. python is the interpreter of Python engines; if empty, one
// is looked for.
func (v *View) Look(ctx context.Context, python string) error {
	v.Engines = enginesOf(ctx, python)
	meters, missing := machine.Meters(ctx, false)
	defer machine.Close(meters)
	var err error
	if v.snapshot, err = machine.Snapshot(ctx, meters, nil); err != nil {
		return err
	}
	for _, m := range meters {
		for _, d := range m.Devices() {
			v.Sensors = append(v.Sensors,
				Sensor{Source: m.Name(), Readable: true, Device: d.ID,
					Name: strings.TrimSpace(d.Name + " " + d.UUID)})
		}
	}
	for _, u := range missing {
		v.Sensors = append(v.Sensors, Sensor{Source: u.Source, Reason: u.Message, Next: u.Next})
	}
	return nil
}

// MachineText returns what was found. results is the folder for results.
func (v *View) MachineText(results string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "llem %s\n\nEngines\n", v.Version)
	for _, e := range v.Engines {
		e.text(&b)
	}
	b.WriteString("\nPower sensors\n")
	readable := false
	for _, s := range v.Sensors {
		readable = readable || s.Readable
		s.text(&b)
	}
	if !readable {
		b.WriteString("  energy will be null; `llem run --estimate` gives a modelled value, labelled as such\n")
	}
	c := containerSettings(v.Settings)
	outfit(&b, v.snapshot, runners.Look(images(c)...), c)
	hardware(&b, v.snapshot, results)
	state := "not there yet"
	if v.FileRead {
		state = "read"
	}
	fmt.Fprintf(&b, "\nSettings of this machine (%s, %s; or %s and so on)\n", v.File, state,
		study.Variable("energy.pue"))
	v.settings(&b)
	return b.String()
}

// enginesOf asks every engine for its version.
func enginesOf(ctx context.Context, python string) []Engine {
	backends := machine.Backends(nil, python)
	var out []Engine
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		info, err := backends[name].Probe(ctx)
		if err != nil {
			f := fault.As(err)
			out = append(out, Engine{Name: name, Reason: f.Error(), Next: f.Next})
			continue
		}
		out = append(out, Engine{Name: name, Usable: true, Version: info.Version, Device: info.Device,
			Versions: info.Versions, Notes: info.Notes})
	}
	return out
}

func (e Engine) text(b *strings.Builder) {
	if !e.Usable {
		fmt.Fprintf(b, "  %-11s not usable: %s\n", e.Name, e.Reason)
		if e.Next != "" {
			fmt.Fprintf(b, "  %-11s next: %s\n", "", e.Next)
		}
		return
	}
	fmt.Fprintf(b, "  %-11s %s on %s%s\n", e.Name, e.Version, e.Device, versionsText(e.Versions))
	for _, n := range e.Notes {
		fmt.Fprintf(b, "  %-11s note: %s\n", "", n)
	}
}

func (s Sensor) text(b *strings.Builder) {
	if s.Readable {
		fmt.Fprintf(b, "  %-11s %s: %s\n", s.Source, s.Device, s.Name)
		return
	}
	fmt.Fprintf(b, "  %-11s not readable: %s\n", s.Source, s.Reason)
	if s.Next != "" {
		fmt.Fprintf(b, "  %-11s next: %s\n", "", s.Next)
	}
}

// hardware prints CPU, memory and folders.
func hardware(b *strings.Builder, s *host.Snapshot, results string) {
	b.WriteString("\nMachine\n")
	text := func(p *string) string {
		if p == nil {
			return "unknown"
		}
		return *p
	}
	fmt.Fprintf(b, "  %-11s %s, %d engine threads by default\n", "cpu", text(s.CPU.Model), host.CPUThreads(s))
	if s.Memory.RAMTotalBytes != nil {
		fmt.Fprintf(b, "  %-11s %s\n", "memory", digits.Bytes(*s.Memory.RAMTotalBytes))
	}
	for _, w := range host.Warnings(s) {
		fmt.Fprintf(b, "  %-11s %s\n", codes.WordOf(w.Code), w.Message)
	}
	b.WriteString("\nFolders\n")
	cache, err := model.DefaultCacheDir()
	if err != nil {
		cache = err.Error()
	}
	fmt.Fprintf(b, "  %-11s %s (LLEM_CACHE)\n", "models", cache)
	fmt.Fprintf(b, "  %-11s %s (LLEM_RESULTS, --output)\n", "results", results)
}

func versionsText(v map[string]string) string {
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var parts []string
	for _, k := range keys {
		if v[k] != "" {
			parts = append(parts, k+" "+v[k])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
