package nodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
)

// EnvFile is the snapshot of the machine on which a study was started, in its folder.
const EnvFile = "env.json"

// EnvPart returns the name of the snapshot of a part of a study: env.json for the first part, env-2.json for
// the second.
func EnvPart(n int) string {
	if n < 2 {
		return EnvFile
	}
	return fmt.Sprintf("env-%d.json", n)
}

// machine is the part of a snapshot that identifies the machine.
type machine struct {
	OS  struct{ Kernel *string }
	CPU struct {
		Model        *string
		CoresLogical *int `json:"cores_logical"`
	}
	Memory struct {
		RAM *int64 `json:"ram_total_bytes"`
	}
}

func (m machine) String() string {
	text := func(s *string) string {
		if s == nil {
			return "unknown"
		}
		return *s
	}
	var parts []string
	parts = append(parts, "CPU "+text(m.CPU.Model))
	if m.CPU.CoresLogical != nil {
		parts = append(parts, fmt.Sprintf("%d hardware threads", *m.CPU.CoresLogical))
	}
	if m.Memory.RAM != nil {
		parts = append(parts, fmt.Sprintf("%d MiB", *m.Memory.RAM>>20))
	}
	return strings.Join(append(parts, "kernel "+text(m.OS.Kernel)), ", ")
}

// Machine describes the machine on which a study was started; empty if unknown.
func Machine(dir string) string {
	m, err := readMachine(dir, 1)
	if err != nil {
		return ""
	}
	return m.String()
}

// readMachine reads the snapshot of a part of a study.
func readMachine(dir string, part int) (m machine, err error) {
	text, err := disk.ReadFile(filepath.Join(dir, EnvPart(part)), disk.MaxDocument)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(text, &m)
}

// Changed reports that the parts of a study ran on different machines; empty if not, or if unknown.
func Changed(dir string) string {
	first := ""
	for n := 1; ; n++ {
		m, err := readMachine(dir, n)
		if err != nil {
			return ""
		}
		now := m.String()
		if n == 1 {
			first = now
		} else if now != first {
			return fmt.Sprintf(
				"the study was resumed on another machine (%s): first %s, then %s; the speed of the host may "+
					"differ between its runs", EnvPart(n), first, now)
		}
	}
}

// WorkersDir has a file for each worker of a study.
const WorkersDir = "workers"

// Worker is the file of a worker.
type Worker struct {
	// Worker is its name, and Node identifies its machine without naming it.
	Worker string `json:"worker"`
	Node   string `json:"node"`
	// Differences from the study's first machine, if they were allowed.
	Differences []string `json:"differences,omitempty"`
	// Machine is the snapshot of its machine.
	Machine *host.Snapshot `json:"machine"`
}

// Write writes the file of a worker of a study.
func (w Worker) Write(dir string) error {
	dir = filepath.Join(dir, WorkersDir)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return disk.Problem("make the folder of workers", dir, err)
	}
	return disk.WriteFile(filepath.Join(dir, w.Worker+".json"),
		func(f io.Writer) error { return disk.EncodeJSON(f, w) })
}

// ReadWorker reads the file of a worker of a study.
func ReadWorker(dir, worker string) (w Worker, err error) {
	text, err := disk.ReadFile(filepath.Join(dir, WorkersDir, worker+".json"), disk.MaxDocument)
	if err != nil {
		return w, err
	}
	return w, json.Unmarshal(text, &w)
}

// NodeOf returns the machine of a worker of a study, or without a name of the process that began it; empty if it is
// unknown.
func NodeOf(dir, worker string) string {
	if worker == "" {
		if _, err := Part(dir, 2); err == nil { // it is not known which runs are from which part
			return ""
		}
		if s, err := First(dir); err == nil {
			return s.Node
		}
		return ""
	}
	w, err := ReadWorker(dir, worker)
	if err != nil {
		return ""
	}
	return w.Node
}
