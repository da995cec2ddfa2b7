// Package nodes knows what a study keeps about its machines: the snapshots in its folder, and the class of a machine,
// the facts by which two machines do the same work with the same time and energy.
package nodes

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
)

// Class is the class of a machine: facts by name. A fact that could not be read is absent.
type Class map[string]string

// ClassOf returns the class of the machine of a snapshot.
func ClassOf(s *host.Snapshot) Class {
	c := Class{}
	c.add("CPU", s.CPU.Model)
	add(c, "hardware threads", s.CPU.CoresLogical, "%d")
	if s.GPUs != nil {
		c["GPUs"] = strconv.Itoa(len(s.GPUs))
	}
	for _, g := range s.GPUs {
		of := Class{}
		of.add("name", g.Name)
		of.add("driver", g.DriverVersion)
		of.add("VBIOS", g.VBIOS)
		of.add("ECC", g.ECCMode)
		of.add("MIG", g.MIGMode)
		if g.VRAMTotalBytes != nil {
			of["memory"] = fmt.Sprintf("%d MiB", *g.VRAMTotalBytes>>20)
		}
		add(of, "power limit", g.PowerLimitW, "%.0f W")
		add(of, "highest clock", g.SMClockMaxMHz, "%d MHz")
		add(of, "highest memory clock", g.MemClockMaxMHz, "%d MHz")
		add(of, "application clock", g.SMClockApplicationsMHz, "%d MHz")
		add(of, "application memory clock", g.MemClockApplicationsMHz, "%d MHz")
		for name, value := range of {
			name = "GPU " + name
			if known := strings.Split(c[name], " + "); c[name] == "" || !slices.Contains(known, value) {
				c[name] = strings.Join(slices.Sorted(slices.Values(slices.DeleteFunc(append(known, value),
					func(v string) bool { return v == "" }))), " + ")
			}
		}
	}
	c.add("CUDA driver", s.CUDA.DriverVersion)
	for name, version := range s.Python.Packages {
		c["package "+name] = version
	}
	return c
}

func (c Class) add(name string, value *string) {
	if value != nil && *value != "" {
		c[name] = *value
	}
}

func add[T any](c Class, name string, value *T, format string) {
	if value != nil {
		c[name] = fmt.Sprintf(format, *value)
	}
}

// Differences lists the facts in which a machine differs from the first one. What one of them does not tell is
// not a difference.
func (c Class) Differences(first Class) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if was, ok := first[name]; ok && was != c[name] {
			out = append(out, fmt.Sprintf("%s: %s, the first machine has %s", name, c[name], was))
		}
	}
	return out
}

// First reads the snapshot of the machine on which a study was started.
func First(dir string) (*host.Snapshot, error) { return read(filepath.Join(dir, EnvFile)) }

// Part reads the snapshot of a part of a study, counted from 1; fs.ErrNotExist after the last one.
func Part(dir string, n int) (*host.Snapshot, error) { return read(filepath.Join(dir, EnvPart(n))) }

func read(path string) (*host.Snapshot, error) {
	text, err := disk.ReadFile(path, disk.MaxDocument)
	if err != nil {
		return nil, err
	}
	var s host.Snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &s, nil
}
