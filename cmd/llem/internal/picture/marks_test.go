package picture

import (
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// TestMarks: everything of a run whose time is known is marked where it happened, inside the window.
func TestMarks(t *testing.T) {
	t.Parallel()
	const s = int64(1e9)
	number := func(v float64) *float64 { return &v }
	sample := func(at int64, device string, celsius, mhz float64, throttle int64) series.Telemetry {
		return series.Telemetry{MonoNS: at * s, Device: device, TemperatureC: number(celsius), SMClockMHz: number(mhz),
			Throttle: &throttle}
	}
	r := &result.Record{Harness: &result.Harness{Gaps: []result.Gap{{Device: "gpu0", StartNS: 98 * s, EndNS: 101 * s,
		Reason: "the ring overflowed"}}}}
	r.Warnings = note.List{{Code: "gpu_shared"}}
	r.Energy.Devices = []result.Device{
		{Device: "gpu0", Counted: true, Series: &result.SeriesInfo{Source: "ring", Gaps: 1},
			Others: []result.Tenant{{PID: 42, FromS: 3, ToS: 50}, {PID: 7, FromS: -9, ToS: -1}}},
		{Device: "gpu1", Others: []result.Tenant{{PID: 43, FromS: 3, ToS: 5}}}}
	raw := series.All{
		Power: []series.Power{{MonoNS: 103 * s, Device: "gpu0", Source: "ring"},
			{MonoNS: 104 * s, Device: "gpu0", Source: "ring"}, {MonoNS: 107 * s, Device: "gpu0", Source: "ring"}},
		Telemetry: []series.Telemetry{sample(100, "gpu0", 40, 1980, 0), sample(102, "gpu0", 50, 1500, 0x4),
			sample(103, "gpu0", 60, 1200, 0x4|0x20), sample(104, "gpu0", 55, 1980, 0), sample(102, "gpu1", 99, 1, 0x8)},
		Requests: []series.Request{{OK: true, FirstUse: true, PrefillStartNS: 100 * s, EndNS: 101 * s},
			{OK: true, FirstUse: true, PrefillStartNS: 101 * s, EndNS: 102 * s},
			{SubmittedNS: 108 * s, EndNS: 109 * s, Failure: "out of memory"}},
	}
	l := timeline{start: 100 * s, length: 10, counted: map[string]string{"gpu0": "ring"}}
	want := []figure.Doubt{
		{From: 0, To: 1, Code: "series_gaps", Label: "gpu0: the ring overflowed"},
		{From: 0, To: 2, Code: "first_use", Label: "a shape was used for the first time"},
		{From: 2, To: 4, Code: "power_capped", Label: "gpu0: power cap"},
		{From: 3, To: 10, Code: "gpu_shared", Label: "gpu0: process 42 of others"},
		{From: 3, To: 4, Code: "throttled", Label: "gpu0: software thermal slowdown"},
		{From: 4, To: 7, Code: "series_gaps", Label: "gpu0: no readings"},
		{From: 8, To: 9, Code: "requests_failed", Label: "a request failed: out of memory"},
	}
	if got := l.doubts(r, raw); !slices.Equal(got, want) {
		t.Errorf("marks\n%+v\nwant\n%+v", got, want)
	}
	tracks := l.tracks(raw.Telemetry)
	if len(tracks) != 2 || tracks[0].Unit != "°C" || !slices.Equal(tracks[0].V, []float64{40, 50, 60, 55}) ||
		!slices.Equal(tracks[1].V, []float64{1980, 1500, 1200, 1980}) ||
		!slices.Equal(tracks[1].T, []float64{0, 2, 3, 4}) {
		t.Errorf("tracks %+v", tracks)
	}
}
