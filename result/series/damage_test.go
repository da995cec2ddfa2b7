package series

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/damage"
)

// storedRun is a run of an earlier version, whose files have no sums.
const storedRun = "../../testdata/stored/simulated/runs/a0ad14b62020-c1"

// TestDamaged reads damaged copies of all series. What their own sums do not cover is for the manifest of a run.
func TestDamaged(t *testing.T) {
	seed := damage.Seed(t)
	var all []damage.Tally
	for name, read := range map[string]func(path string) (string, error){
		"power": says[Power], "telemetry": says[Telemetry], "counters": says[Counter], "requests": says[Request],
		"steps": says[Step],
	} {
		path := filepath.Join(t.TempDir(), name+".parquet")
		intact, err := os.ReadFile(filepath.Join(storedRun, name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, damage.Format{Name: name + ".parquet", Names: []string{name + ".parquet"}, Intact: intact,
			ByNature: "its pages have sums, its footer has none", Read: func(text []byte) (string, error) {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				return read(path)
			}}.Check(t, seed, damage.Number(200, 40)))
	}
	damage.Table(t, all)
}

func says[T any](path string) (string, error) {
	rows, err := ReadFile[T](path)
	return fmt.Sprint(rows), err
}

// TestDamagedMemory: single bits that made the library take tens of gigabytes, or 2.
func TestDamagedMemory(t *testing.T) {
	intact, err := os.ReadFile(filepath.Join(storedRun, "power.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		at, bit int
		want    string
	}{
		{"another compression", 4875, 1, "is compressed as LZ4"},
		{"a long footer", len(intact) - 5, 6, "its footer has"},
		{"a short file", -1, 0, "too short"},
	} {
		b := bytes.Clone(intact)
		if c.at < 0 {
			b = b[:7]
		} else {
			b[c.at] ^= 1 << c.bit
		}
		path := filepath.Join(t.TempDir(), "power.parquet")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile[Power](path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
