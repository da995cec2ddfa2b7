package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// newConfig shows what llem finds on this machine.
func newConfig(env *Env) *cobra.Command {
	var python string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show engines, sensors, folders and settings of this machine",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return env.config(cmd, python) },
	}
	cmd.Flags().StringVar(&python, "python", "", "interpreter for the pytorch backend")
	return cmd
}

func (env *Env) config(cmd *cobra.Command, python string) error {
	ctx := cmd.Context()
	var b strings.Builder
	build := host.CurrentBuild()
	fmt.Fprintf(&b, "llem %s\n\nEngines\n", versionText(build))
	backends := llem.Backends(python)
	names := make([]string, 0, len(backends))
	for name := range backends {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		info, err := backends[name].Probe(ctx)
		if err != nil {
			f := backend.AsFailure(err)
			fmt.Fprintf(&b, "  %-10s not usable: %s\n", name, f.Error())
			if f.Hint != "" {
				fmt.Fprintf(&b, "  %-10s next: %s\n", "", f.Hint)
			}
			continue
		}
		fmt.Fprintf(&b, "  %-10s %s on %s%s\n", name, info.Version, info.Device, versionsText(info.Versions))
		for _, n := range info.Notes {
			fmt.Fprintf(&b, "  %-10s note: %s\n", "", n)
		}
	}

	meters, missing := llem.OpenMeters(ctx, false)
	defer func() {
		for _, m := range meters {
			m.Close()
		}
	}()
	snapshot, err := llem.Snapshot(ctx, meters)
	if err != nil {
		return err
	}
	b.WriteString("\nPower sensors\n")
	for _, m := range meters {
		for _, d := range m.Devices() {
			fmt.Fprintf(&b, "  %-10s %s: %s\n", m.Name(), d.ID, strings.TrimSpace(d.Name+" "+d.UUID))
		}
	}
	for _, u := range missing {
		fmt.Fprintf(&b, "  %-10s not readable: %s\n", u.Source, u.Reason)
		if u.Fix != "" {
			fmt.Fprintf(&b, "  %-10s next: %s\n", "", u.Fix)
		}
	}
	if len(meters) == 0 {
		b.WriteString("  energy will be null; `llem run --estimate` gives a modelled value, labelled as such\n")
	}
	env.machine(&b, snapshot)
	if err := env.settings(&b); err != nil {
		return err
	}
	_, err = fmt.Fprint(env.Stdout, b.String())
	return err
}

// settings prints what holds for studies on this machine, and where it comes from.
func (env *Env) settings(b *strings.Builder) error {
	path := study.UserFile(env.Getenv)
	all, err := study.Machine(study.Options{User: path, Getenv: env.Getenv})
	if err != nil {
		return err
	}
	state := "not there yet"
	if _, err := os.Stat(path); err == nil {
		state = "read"
	}
	fmt.Fprintf(b, "\nSettings of this machine (%s, %s; or %s and so on)\n", path, state, study.Variable(all[0].Key))
	for _, o := range all {
		value := o.Value
		if value == "" {
			value = "–"
		}
		fmt.Fprintf(b, "  %-34s %-8s %s\n", o.Key, value, o.From)
	}
	return nil
}

// machine prints what the snapshot says of CPU, memory and folders.
func (env *Env) machine(b *strings.Builder, s *host.Snapshot) {
	b.WriteString("\nMachine\n")
	text := func(p *string) string {
		if p == nil {
			return "unknown"
		}
		return *p
	}
	fmt.Fprintf(b, "  %-10s %s, %d engine threads by default\n", "cpu", text(s.CPU.Model), host.CPUThreads(s))
	if s.Memory.RAMTotalBytes != nil {
		fmt.Fprintf(b, "  %-10s %s\n", "memory", unit.Bytes(*s.Memory.RAMTotalBytes))
	}
	for _, w := range host.Warnings(s) {
		fmt.Fprintf(b, "  %-10s %s\n", "warning", w.Message)
	}
	b.WriteString("\nFolders\n")
	cache, err := model.DefaultCacheDir()
	if err != nil {
		cache = err.Error()
	}
	fmt.Fprintf(b, "  %-10s %s (LLEM_CACHE)\n", "models", cache)
	fmt.Fprintf(b, "  %-10s %s (LLEM_RESULTS, --output)\n", "results", firstOf(env.Getenv("LLEM_RESULTS"), "results"))
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
