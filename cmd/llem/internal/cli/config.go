package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/study"
)

// newConfig shows what llem finds on this machine, or what a study resolves to.
func newConfig(env *Env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use:   "config [STUDY.yaml]",
		Short: "Show engines, sensors and settings, or each value of a study",
		Example: "  llem config\n" +
			"  llem config study.yaml -s workload.prompts=32",
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error { return env.config(cmd, args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	studyFlags(cmd, &f.set)
	flags.StringVar(&f.python, "python", "", "interpreter for Python backends")
	flags.BoolVar(&f.json, "json", false, "print one JSON document")
	return cmd
}

type configFlags struct {
	set    []string
	python string
	json   bool
}

// configView is the output of llem config.
type configView struct {
	Version  string         `json:"version"`
	Engines  []engineView   `json:"engines,omitempty"`
	Sensors  []sensorView   `json:"sensors,omitempty"`
	File     string         `json:"settings_file"`
	FileRead bool           `json:"settings_file_read"`
	Study    *studyView     `json:"study,omitempty"`
	Settings []study.Origin `json:"settings"`
	Warnings []string       `json:"warnings"`
}

type engineView struct {
	Name     string            `json:"name"`
	Usable   bool              `json:"usable"`
	Version  string            `json:"version,omitempty"`
	Device   string            `json:"device,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Next     string            `json:"next,omitempty"`
}

type sensorView struct {
	Source   string `json:"source"`
	Readable bool   `json:"readable"`
	Device   string `json:"device,omitempty"`
	Name     string `json:"name,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Next     string `json:"next,omitempty"`
}

type studyView struct {
	Path        string `json:"path,omitempty"`
	Name        string `json:"name,omitempty"`
	Experiments int    `json:"experiments"`
}

func (env *Env) config(cmd *cobra.Command, args []string, f configFlags) error {
	o, err := studyOptions(cmd, args, f.set, env.Getenv)
	if err != nil {
		return err
	}
	v := configView{Version: versionText(host.CurrentBuild()), File: o.User,
		Warnings: append([]string{}, env.unknownVariables()...)}
	if _, err := os.Stat(o.User); err == nil {
		v.FileRead = true
	}
	if o.Path != "" || len(o.Settings) > 0 {
		s, settings, err := study.Origins(o)
		if err != nil {
			return err
		}
		v.Study, v.Settings = &studyView{o.Path, s.Name, len(s.Experiments)}, settings
		if f.json {
			return env.printJSON(v)
		}
		return env.studyConfig(v)
	}
	if v.Settings, err = study.Machine(o); err != nil {
		return err
	}
	return env.machineConfig(cmd.Context(), v, firstOf(f.python, study.Interpreter(o)), f.json)
}

// studyConfig prints every value of a study with its origin.
func (env *Env) studyConfig(v configView) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s; flags over the study over the environment over %s over defaults\n",
		firstOf(v.Study.Name, v.Study.Path, "study"), digits.Count(v.Study.Experiments, "experiment"), firstOf(v.File,
			"the user's file"))
	settingsText(&b, v)
	_, err := fmt.Fprint(env.text(env.Stdout), b.String())
	return err
}

// settingsText prints settings in columns.
func settingsText(b *strings.Builder, v configView) {
	widest := 0
	for _, o := range v.Settings {
		widest = max(widest, min(24, table.Width(o.Value)))
	}
	for _, o := range v.Settings {
		fmt.Fprintf(b, "  %s %s  %s\n", table.Pad(o.Key, 36), table.Pad(firstOf(o.Value, table.Missing), widest),
			o.From)
	}
	for _, w := range v.Warnings {
		fmt.Fprintf(b, "warning: %s\n", w)
	}
}

// machineConfig prints what llem finds on this machine.
func (env *Env) machineConfig(ctx context.Context, v configView, python string, asJSON bool) error {
	v.Engines = engineViews(ctx, python)
	meters, missing := machine.Meters(ctx, false)
	defer machine.Close(meters)
	snapshot, err := machine.Snapshot(ctx, meters, nil)
	if err != nil {
		return err
	}
	for _, m := range meters {
		for _, d := range m.Devices() {
			v.Sensors = append(v.Sensors,
				sensorView{Source: m.Name(), Readable: true, Device: d.ID,
					Name: strings.TrimSpace(d.Name + " " + d.UUID)})
		}
	}
	for _, u := range missing {
		v.Sensors = append(v.Sensors, sensorView{Source: u.Source, Reason: u.Message, Next: u.Next})
	}
	if asJSON {
		return env.printJSON(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "llem %s\n\nEngines\n", v.Version)
	for _, e := range v.Engines {
		e.text(&b)
	}
	b.WriteString("\nPower sensors\n")
	for _, s := range v.Sensors {
		s.text(&b)
	}
	if len(meters) == 0 {
		b.WriteString("  energy will be null; `llem run --estimate` gives a modelled value, labelled as such\n")
	}
	env.machine(&b, snapshot, containerSettings(v.Settings))
	state := "not there yet"
	if v.FileRead {
		state = "read"
	}
	fmt.Fprintf(&b, "\nSettings of this machine (%s, %s; or %s and so on)\n", v.File, state,
		study.Variable("energy.pue"))
	settingsText(&b, v)
	_, err = fmt.Fprint(env.text(env.Stdout), b.String())
	return err
}

// engineViews asks every engine for its version.
func engineViews(ctx context.Context, python string) []engineView {
	backends := machine.Backends(nil, python)
	var out []engineView
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		info, err := backends[name].Probe(ctx)
		if err != nil {
			f := fault.As(err)
			out = append(out, engineView{Name: name, Reason: f.Error(), Next: f.Next})
			continue
		}
		out = append(out, engineView{Name: name, Usable: true, Version: info.Version, Device: info.Device,
			Versions: info.Versions, Notes: info.Notes})
	}
	return out
}

func (e engineView) text(b *strings.Builder) {
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

func (s sensorView) text(b *strings.Builder) {
	if s.Readable {
		fmt.Fprintf(b, "  %-11s %s: %s\n", s.Source, s.Device, s.Name)
		return
	}
	fmt.Fprintf(b, "  %-11s not readable: %s\n", s.Source, s.Reason)
	if s.Next != "" {
		fmt.Fprintf(b, "  %-11s next: %s\n", "", s.Next)
	}
}

// machine prints CPU, memory and folders of the snapshot.
func (env *Env) machine(b *strings.Builder, s *host.Snapshot, c study.ContainerSection) {
	outfit(b, s, runners.Look(images(c)...), c)
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
		fmt.Fprintf(b, "  %-11s %s\n", "warning", w.Message)
	}
	b.WriteString("\nFolders\n")
	cache, err := model.DefaultCacheDir()
	if err != nil {
		cache = err.Error()
	}
	fmt.Fprintf(b, "  %-11s %s (LLEM_CACHE)\n", "models", cache)
	fmt.Fprintf(b, "  %-11s %s (LLEM_RESULTS, --output)\n", "results", firstOf(env.Getenv("LLEM_RESULTS"), "results"))
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
