package power_test

import (
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
)

func TestCalls(t *testing.T) {
	now := int64(time.Hour)
	m := power.OpenFakeNVML(t, power.NewFakeNVML(2, 300, func() int64 { return now }), func() int64 { return now })
	defer m.Close()
	var names []string
	for _, c := range m.Calls("gpu1") {
		names = append(names, c.Source)
		value, stamp, err := c.Read()
		want := 300.0
		if c.Source == power.SourceEnergy {
			want = 3000 // ten seconds at 300 W
		}
		if err != nil || value != want || (stamp != 0) != (c.Source == power.SourceSamples) {
			t.Errorf("%s = %v, stamp %d, %v, want %v", c.Source, value, stamp, err, want)
		}
	}
	want := []string{power.SourceEnergy, power.SourceSamples, power.SourceInstant, power.SourceAverage}
	if !slices.Equal(names, want) {
		t.Errorf("sources %v, want %v", names, want)
	}
	if got := m.Calls("gpu7"); got != nil {
		t.Errorf("Calls of an absent device = %v", got)
	}
}

func TestRing(t *testing.T) {
	now := int64(time.Hour)
	m := power.OpenFakeNVML(t, power.NewFakeNVML(1, 300, func() int64 { return now }), func() int64 { return now })
	defer m.Close()
	ring, anchor, err := m.Ring("gpu0")
	if err != nil || len(ring) != 119 {
		t.Fatalf("%d entries, %v, want 119", len(ring), err)
	}
	for i, s := range ring[1:] {
		if s.StampUS-ring[i].StampUS != 20_000 {
			t.Fatalf("entries %d and %d lie %d µs apart, want 20000", i, i+1, s.StampUS-ring[i].StampUS)
		}
	}
	if age := now - anchor.FromUnix(int64(ring[118].StampUS)*1000); age < 0 || age > int64(20*time.Millisecond) {
		t.Errorf("the newest entry is %v old", time.Duration(age))
	}
	if _, _, err := m.Ring("gpu7"); err == nil {
		t.Error("an absent device has a ring")
	}
}

// TestZoneCalls: a counter of a processor can be asked on its own.
func TestZoneCalls(t *testing.T) {
	x := newTree(t)
	x.zone("intel-rapl:0", "package-0", 5_000_000, raplRange)
	x.zone("intel-rapl:0:2", "dram", 2_000_000, raplRange)
	m := openTree(t, x, newManual())
	calls := m.Calls("dram-0")
	if len(calls) != 1 || calls[0].Source != power.SourceRAPL || !calls[0].Energy {
		t.Fatalf("calls %+v, want the counter of the memory", calls)
	}
	if v, stamp, err := calls[0].Read(); v != 2 || stamp != 0 || err != nil {
		t.Errorf("read %v, %v, %v, want 2 J", v, stamp, err)
	}
	if got := m.Calls("gpu0"); got != nil {
		t.Errorf("calls of a device that is not there: %v", got)
	}
}
