package nvml

import (
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
)

func TestCalls(t *testing.T) {
	now := int64(time.Hour)
	m := openFake(t, newFakeLib(2, 300, func() int64 { return now }), func() int64 { return now })
	defer m.Close()
	var names []string
	for _, c := range m.Calls("gpu1") {
		names = append(names, c.Source)
		value, stamp, err := c.Read()
		want := 300.0
		if c.Source == sensor.SourceEnergy {
			want = 3000 // ten seconds at 300 W
		}
		if err != nil || value != want || (stamp != 0) != (c.Source == sensor.SourceSamples) {
			t.Errorf("%s = %v, stamp %d, %v, want %v", c.Source, value, stamp, err, want)
		}
	}
	want := []string{sensor.SourceEnergy, sensor.SourceSamples, sensor.SourceInstant, sensor.SourceAverage}
	if !slices.Equal(names, want) {
		t.Errorf("sources %v, want %v", names, want)
	}
	if got := m.Calls("gpu7"); got != nil {
		t.Errorf("Calls of an unknown device = %v", got)
	}
}

func TestRing(t *testing.T) {
	now := int64(time.Hour)
	m := openFake(t, newFakeLib(1, 300, func() int64 { return now }), func() int64 { return now })
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
		t.Error("an unknown device has a ring")
	}
}
