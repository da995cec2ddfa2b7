package join

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// onDisk writes a run as a study would and returns its folder.
func onDisk(t *testing.T, rec *result.Record, s series.All) string {
	t.Helper()
	dir, err := store.Create(t.TempDir(), "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	run, err := dir.Begin("id", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Commit(rec, s); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir.Path(), result.RunsDir, "id-c1")
}

// notCarried are fields that no number depends on.
var notCarried = cmpopts.IgnoreFields(backend.Request{}, "Output") // the generated ids

// TestEveryFieldIsCarried: material in which every field has a distinct value is unchanged after writing and
// reading. A new field that --recompute would lose fails here.
func TestEveryFieldIsCarried(t *testing.T) {
	var m Material
	next := int64(0)
	fill(t, reflect.ValueOf(&m).Elem(), "Material", &next)
	m.Tasks = map[int]string{}
	for i, q := range m.Requests {
		m.Tasks[q.ID] = fmt.Sprint("task ", i)
	}
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: "id", Cycle: 1, Status: result.OK}
	dir := onDisk(t, rec, m.store(rec))
	rec, err := result.ReadRecord(filepath.Join(dir, result.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Read(dir, rec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&m, got, notCarried); diff != "" {
		t.Errorf("fields that are lost on disk (-written +read):\n%s", diff)
	}
}

// fill sets every field of a value to a distinct value, and gives every list two elements.
func fill(t *testing.T, v reflect.Value, path string, next *int64) {
	t.Helper()
	*next++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), path+"."+v.Type().Field(i).Name, next)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path, next)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), path, next)
		}
	case reflect.Map: // filled by the test
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(*next)
	case reflect.Float64:
		v.SetFloat(float64(*next) + 0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprint(path, " ", *next))
	default:
		t.Fatalf("%s is a %s: teach this test to fill it", path, v.Kind())
	}
}

// TestEngineDecidesWhatCounts: the energy of the device that the engine reports is counted, also if the
// engine does not know which card it uses.
func TestEngineDecidesWhatCounts(t *testing.T) {
	for device, want := range map[string]string{"cuda": "gpu0", "cuda:1": "gpu0", "rocm": "gpu0", "vulkan": "gpu0",
		"cpu": "package-0",
		"":    "package-0"} {
		m := handmade(6, 200)
		m.Devices = append(m.Devices, Device{Device: cpu0})
		m.Samples = append(m.Samples, sampled(cpu0.ID, 9_000, 20_000, func(int64) float64 { return 50 })...)
		m.Engine = EngineOf(backend.Loaded{Info: backend.Info{Device: device}, SharedClock: true})
		rec, _ := joined(t, m)
		scope := map[bool]string{true: "gpu", false: "cpu"}[want == "gpu0"]
		if rec.Energy.Scope != scope || rec.Energy.Provenance != result.Measured {
			t.Errorf("%q: scope %s, %s", device, rec.Energy.Scope, rec.Energy.Provenance)
		}
		for _, d := range rec.Energy.Devices {
			if d.Counted != (d.Device == want) {
				t.Errorf("%q: %s counted %v, want only %s", device, d.Device, d.Counted, want)
			}
		}
	}
	identified := EngineOf(backend.Loaded{Info: backend.Info{Device: "simulated GPU"}, DeviceUUIDs: []string{"GPU-0"}})
	if !identified.OnGPU() || identified.Tier != backend.TierClient {
		t.Errorf("%+v on a GPU %v, want so by its UUID, and tier %s without a shared clock", identified,
			identified.OnGPU(), backend.TierClient)
	}
}

// TestProfileOfTheSeries: the profile for the source of the window's samples is used, not for an earlier
// baseline's.
func TestProfileOfTheSeries(t *testing.T) {
	m := handmade(6, 200)
	m.Samples = append([]power.Sample{{MonoNS: ms, Device: "gpu0", Source: "another"}}, m.Samples...)
	swing := 3.0
	m.SetDevices([]power.Device{gpu0, gpu1}, map[string]result.Idle{"gpu1": {W: 7, AgeS: 1}},
		map[string]*power.Profile{"gpu0": {SwingPct: &swing,
			Sources: []power.SourceProfile{{Source: "another"}, {Source: sensor.SourceFake}}}})
	a, b := m.Devices[0], m.Devices[1]
	if a.Profile == nil || a.Profile.Source != sensor.SourceFake || a.SwingPct != &swing || a.Known != nil {
		t.Errorf("gpu0: %+v, want the profile of its source", a)
	}
	if b.Profile != nil || b.SwingPct != nil || b.Known == nil || b.Known.W != 7 {
		t.Errorf("gpu1: %+v, want only the idle power that is known", b)
	}
}
