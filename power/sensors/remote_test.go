package sensors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

const (
	uuid0 = "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"
	uuid1 = "GPU-1b2c9f70-1f4e-4a0b-9a51-6f1f0f8f3f11"
)

func targets(t *testing.T, text string) []prom.Target {
	t.Helper()
	list, err := prom.ParseTargets(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// server is an exporter with a page that the test sets.
type server struct {
	mu    sync.Mutex // fetches run concurrently with the test
	page  func() string
	err   error
	delay time.Duration
	count int
}

func (s *server) fetch(ctx context.Context, _ string) ([]byte, error) {
	s.mu.Lock()
	s.count++
	page, err, delay := s.page, s.err, s.delay
	s.mu.Unlock()
	if delay > 0 {
		if err := clock.Sleep(ctx, delay); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return []byte(page()), nil
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// file serves a page of testdata.
func file(t *testing.T, name string) *server {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return &server{page: func() string { return string(b) }}
}

func (s *server) open(t *testing.T, spec string, now func() int64, local ...power.Device) (*remoteMeter, error) {
	t.Helper()
	return openRemote(t.Context(), remoteOptions{Targets: targets(t, spec), Local: local}, s.fetch, func() {},
		powertest.Clocks(now))
}

// exporter serves constant power and its energy, both refreshed once per period.
func exporter(now func() int64, watts float64, refresh time.Duration) *server {
	start := now()
	return &server{page: func() string {
		n := (now() - start) / int64(refresh)
		joules := watts * (time.Duration(n) * refresh).Seconds()
		return fmt.Sprintf("# TYPE p gauge\np{host=\"a\"} %v\n# TYPE e counter\ne{host=\"a\"} %v\n",
			watts+float64(n%2)*0.001, joules)
	}}
}

func TestRemoteFindsDCGM(t *testing.T) {
	local := power.Device{ID: "gpu0", Kind: power.GPU, UUID: uuid0}
	for name, c := range map[string]struct {
		page, spec string
		local      []power.Device
		devices    string
		power      float64
		warning    string
		missing    int
	}{
		"beside NVML": {"dcgm.prom", "http://n:9400/metrics", []power.Device{local},
			"dcgm-gpu0 remote, dcgm-gpu1 remote", 421.337, "", 0},
		"instead of it": {"dcgm.prom", "node1=http://n:9400/metrics", nil, "node1-gpu0 gpu, node1-gpu1 gpu", 421.337,
			"", 0},
		"momentary": {"dcgm-instant.prom", "http://n:9400/metrics", nil, "dcgm-gpu0 gpu", 655.2, "", 0},
		"MIG": {"dcgm-mig.prom", "http://n:9400/metrics", nil, "dcgm-gpu0 remote, dcgm-gpu1 gpu", 301.5,
			"dcgm-gpu0 is in MIG mode: the page repeats the value of the whole GPU for each of its 2 slices", 0},
		"several pods":   {"dcgm-pods.prom", "http://n:9400/metrics", nil, "dcgm-gpu0 gpu", 301.5, "", 0},
		"one is not NaN": {"dcgm-nan.prom", "http://n:9400/metrics", nil, "dcgm-gpu1 gpu", 70.112, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, now func() int64) {
				m, err := file(t, c.page).open(t, c.spec, now, c.local...)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				var got []string
				for _, d := range m.Devices() {
					got = append(got, d.ID+" "+string(d.Kind))
					if !d.OverNetwork || !strings.HasPrefix(d.UUID, "GPU-") || d.Name != "NVIDIA H100 80GB HBM3" {
						t.Errorf("device %+v", d)
					}
				}
				if s := strings.Join(got, ", "); s != c.devices {
					t.Errorf("devices %s, want %s", s, c.devices)
				}
				trace := mustPoll(t, m)
				if len(trace.Samples) != len(got) || float64(trace.Samples[0].Power) != c.power ||
					trace.Samples[0].Source != m.Name() {
					t.Errorf("samples %+v", trace.Samples)
				}
				if w := strings.Join(m.Warnings().Messages(), "; "); !strings.HasPrefix(w, c.warning) ||
					(w == "") != (c.warning == "") {
					t.Errorf("warnings %q", w)
				}
				if len(m.Missing()) != c.missing {
					t.Errorf("missing %+v", m.Missing())
				}
			})
		})
	}
}

func TestRemoteNamedMetrics(t *testing.T) {
	for spec, c := range map[string]struct {
		page   string
		watts  float64
		joules float64
		want   string // in the error
	}{
		`wall=http://n/m#shelly_power_watts{device="plug-1"}:W ` +
			`wall=http://n/m#shelly_energy_kwh_total{device="plug-1"}:kWh`: {"shelly.prom", 812.4, 1234.56789 * 3.6e6,
			""},
		`bmc=http://n/m#redfish_power_powercontrol_power_consumed_watts:W`:  {"redfish.prom", 3180, 0, ""},
		`bmc=http://n/m#redfish_power_powercontrol_power_consumed_watts:mW`: {"redfish.prom", 3.18, 0, ""},
		`wall=http://n/m#shelly_power_watts:W`: {"shelly.prom", 0, 0,
			"2 series on the page match shelly_power_watts"},
		`wall=http://n/m#shelly_power_watts{device="plug-9"}:W`: {"shelly.prom", 0, 0,
			`no series on the page matches shelly_power_watts{device="plug-9"}`},
		`wall=http://n/m#shelly_watts:W`:                     {"shelly.prom", 0, 0, "there is no metric shelly_watts"},
		`wall=http://n/m#DCGM_FI_DEV_POWER_USAGE{gpu="0"}:W`: {"dcgm-nan.prom", 0, 0, "no usable value: NaN"},
		`http://n/m`:   {"dcgm-nopower.prom", 0, 0, "the page has neither DCGM_FI_DEV_POWER_USAGE nor"},
		`d=http://n/m`: {"shelly.prom", 0, 0, "the page has neither"},
	} {
		bubble(t, func(t *testing.T, now func() int64) {
			m, err := file(t, c.page).open(t, spec, now)
			if c.want != "" {
				u, ok := errors.AsType[power.Unavailable](err)
				if !ok || !strings.Contains(u.Message, c.want) || u.Next == "" ||
					!strings.HasPrefix(u.Source, "remote.") {
					t.Errorf("%s: %#v, want %q and a fix", spec, err, c.want)
				}
				return
			}
			if err != nil {
				t.Errorf("%s: %v", spec, err)
				return
			}
			defer m.Close()
			if d := m.Devices(); len(d) != 1 || d[0].Kind != power.Remote || d[0].UUID != "" {
				t.Errorf("devices %+v", d)
			}
			trace := mustPoll(t, m)
			if len(trace.Samples) != 1 || float64(trace.Samples[0].Power) != c.watts {
				t.Errorf("%s: samples %+v, want %v W", spec, trace.Samples, c.watts)
			}
			if c.joules != 0 &&
				(len(trace.Counters) != 1 || trace.Counters[0].Energy.Joules() != c.joules ||
					trace.Counters[0].Source != "remote.wall.energy") {
				t.Errorf("%s: readings %+v, want %v J", spec, trace.Counters, c.joules)
			}
		})
	}
}

// TestRemoteMeasuresItsRefresh: an exporter that renews its page every 3 s.
func TestRemoteMeasuresItsRefresh(t *testing.T) {
	const refresh = 3 * time.Second
	for _, spec := range []string{`w=http://n/m#p:W w=http://n/m#e:J`, `w=http://n/m#e:J`} {
		bubble(t, func(t *testing.T, now func() int64) {
			start := now()
			m, err := exporter(now, 500, refresh).open(t, spec, now)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			time.Sleep(70 * time.Millisecond)
			var trace power.Trace
			for range 80 { // 40 s
				if err := m.Poll(t.Context(), &trace); err != nil {
					t.Fatal(err)
				}
				time.Sleep(m.Interval())
			}
			if r := m.Refreshes(); len(r) != 1 || (r[0].Period-refresh).Abs() > remoteInterval || r[0].Changes < 12 {
				t.Errorf("refreshes %+v, want 3 s", r)
			}
			snapped := 0
			for i, r := range trace.Counters {
				if want := remoteRefresh; i < 10 && r.Refresh != want {
					t.Errorf("reading %d: refresh %v before it is known, want %v", i, r.Refresh, want)
				}
				if !r.Snapped {
					continue
				}
				snapped++
				update := r.AfterNS - (r.AfterNS-start)%int64(refresh)
				if update < r.SinceNS || update > r.AfterNS {
					t.Errorf("update at %v outside [%v, %v]", update, r.SinceNS, r.AfterNS)
				}
			}
			if snapped < 12 || snapped > 13 || len(trace.Counters) != 80 {
				t.Errorf("%d of %d readings snapped", snapped, len(trace.Counters))
			}
			last := trace.Samples[len(trace.Samples)-1]
			if (last.Window-refresh).Abs() > remoteInterval || last.Power < 499 || last.Power > 501 ||
				last.Source != "remote.w" {
				t.Errorf("sample %+v, want 500 W over 3 s", last)
			}
		})
	}
}

// TestRemoteFailures: what goes wrong while sampling is an error and a gap, and
// ends with it.
func TestRemoteFailures(t *testing.T) {
	const gone = "other 1\n"
	for name, c := range map[string]struct {
		page string
		err  error
		want string
	}{
		"metric vanished": {gone, nil, "p is no longer on the page"},
		"NaN":             {"p NaN\ne 5\n", nil, "no usable value: NaN"},
		"negative":        {"p -5\ne 5\n", nil, "no usable value: -5"},
		"infinite":        {"p +Inf\ne 5\n", nil, "no usable value: +Inf"},
		"wrong unit":      {"p 5e9\ne 5\n", nil, "check its unit"},
		"HTML":            {"<html>", nil, "web page"},
		"empty":           {"", nil, "no metrics"},
		"not served":      {"", statusError(503), "503 Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, now func() int64) {
				x := exporter(now, 500, time.Second)
				good := x.page
				m, err := x.open(t, `w=http://n/m#p:W w=http://n/m#e:J`, now)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				s := power.NewSampler(m)
				s.Now = now
				s.Start(t.Context())
				time.Sleep(3200 * time.Millisecond)
				x.set(func() { x.page, x.err = func() string { return c.page }, c.err })
				time.Sleep(2 * time.Second)
				x.set(func() { x.page, x.err = good, nil })
				time.Sleep(3 * time.Second)
				trace := s.Stop(t.Context())
				if !strings.Contains(strings.Join(trace.Errors, "\n"), c.want) {
					t.Errorf("errors %q, want %q", trace.Errors, c.want)
				}
				var series int
				for _, g := range trace.Gaps {
					if g.Device == "w" && time.Duration(g.EndNS-g.StartNS) >= time.Second {
						series++
					}
				}
				if series != 1 {
					t.Errorf("gaps %+v", trace.Gaps)
				}
				if last := trace.Samples[len(trace.Samples)-1]; now()-last.MonoNS > int64(time.Second) {
					t.Errorf("no samples after recovery: %+v", last)
				}
			})
		})
	}
}

// TestRemoteCounterReset: a restarted exporter is a gap, never negative power.
func TestRemoteCounterReset(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		x := exporter(now, 500, time.Second)
		time.Sleep(100 * time.Second)
		m, err := x.open(t, `w=http://n/m#e:J`, now)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		var trace power.Trace
		failures := 0
		for i := range 40 {
			if i == 20 {
				x.set(func() { x.page = exporter(now, 500, time.Second).page })
			}
			if err := m.Poll(t.Context(), &trace); err != nil {
				failures++
			}
			time.Sleep(m.Interval())
		}
		if failures != 1 || len(trace.Gaps) != 1 || !strings.Contains(trace.Gaps[0].Reason, "went backwards") {
			t.Errorf("%d failures, gaps %+v", failures, trace.Gaps)
		}
		for _, s := range trace.Samples {
			if s.Power < 300 || s.Power > 1100 { // changes are known to half a second only
				t.Errorf("sample %+v", s)
			}
		}
	})
}

// TestRemoteHangs: a server that does not answer holds up nobody.
func TestRemoteHangs(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		x := exporter(now, 500, time.Second)
		m, err := x.open(t, `w=http://n/m#p:W`, now)
		if err != nil {
			t.Fatal(err)
		}
		mustPoll(t, m)
		x.set(func() { x.delay = time.Hour })
		start, count := now(), x.fetches()
		for range 4 {
			if err := m.Poll(t.Context(), new(power.Trace)); err != nil {
				t.Errorf("Poll: %v", err)
			}
		}
		if waited := time.Duration(now() - start); waited > 4*remotePatience || x.fetches() != count+1 {
			t.Errorf("waited %v, %d fetches", waited, x.fetches()-count)
		}
		time.Sleep(pageTimeout)
		if err := m.Poll(t.Context(), new(power.Trace)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the time limit: %v", err)
		}
		if err := m.Poll(t.Context(), new(power.Trace)); err != nil { // under way again
			t.Error(err)
		}
		start = now()
		if err := m.Close(); err != nil || now() != start {
			t.Errorf("Close: %v after %v", err, time.Duration(now()-start))
		}
	})
}

func TestRemoteNameOfALocalDevice(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		_, err := exporter(now, 1, time.Second).open(t, `gpu0=http://n/m#p:W`, now, power.Device{ID: "gpu0"})
		if u, ok := errors.AsType[power.Unavailable](err); !ok ||
			!strings.Contains(u.Message, "gpu0 is used by a device") {
			t.Errorf("%v", err)
		}
	})
}
