package sensors

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/power/powertest"
)

// BenchmarkSamplerHwmon: eight cards, on files of this machine's disk or memory.
func BenchmarkSamplerHwmon(b *testing.B) {
	s, c := newSysfs(b), newManual()
	for i := range 8 {
		s.write(s.card(i, amd, fmt.Sprintf("0000:%02x:00.0", i+1), "amdgpu")+"/power1_average", "300000000")
	}
	m, err := openHwmon(roots{SysfsRoot: s.root, ProcRoot: s.root}, powertest.Clocks(c.now))
	if err != nil {
		b.Fatal(err)
	}
	powertest.Cost(b, m, &c.ns)
}

// BenchmarkSamplerRAPL: two sockets with memory, on files in memory if possible.
func BenchmarkSamplerRAPL(b *testing.B) {
	x, c := newTree(b), newManual()
	//nolint:usetesting // files in memory, as sysfs is
	if dir, err := os.MkdirTemp("/dev/shm", "llem-rapl-"); err == nil {
		x.root = dir
		b.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				b.Error(err)
			}
		})
	}
	for i := range 2 {
		x.zone(fmt.Sprintf("intel-rapl:%d", i), fmt.Sprintf("package-%d", i), 1e9, raplRange)
		x.zone(fmt.Sprintf("intel-rapl:%d:0", i), "dram", 1e9, raplRange)
	}
	if _, err := os.Stat(filepath.Join(x.root, "class")); err != nil {
		b.Fatal(err)
	}
	m, err := openRAPL(roots{SysfsRoot: x.root}, powertest.Clocks(c.now))
	if err != nil {
		b.Fatal(err)
	}
	powertest.Cost(b, m, &c.ns)
}

// BenchmarkSamplerModel reads this machine's /proc.
func BenchmarkSamplerModel(b *testing.B) {
	c := newManual()
	m, err := openModel(modelOptions{}, powertest.Clocks(c.now))
	if err != nil {
		b.Skip(err)
	}
	powertest.Cost(b, m, &c.ns)
}
