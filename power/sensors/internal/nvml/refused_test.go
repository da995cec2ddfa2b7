package nvml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

func returned(code int) error { return nvmlError{"nvmlDeviceGetHandleByIndex", code, "refused"} }

// TestOneBadGPULeavesTheOthers: whichever call fails for one GPU, the others are measured, and the bad GPU is
// listed with a next step.
func TestOneBadGPULeavesTheOthers(t *testing.T) {
	for code, want := range map[int]struct{ message, next string }{
		nvmlLost:          {"lost this GPU", "reboot"},
		nvmlResetRequired: {"must be reset", "--gpu-reset -i 1"},
		nvmlNoPermission:  {"no permission to use", "job's allocation"},
		nvmlBlocked:       {"no permission to use", "job's allocation"},
		nvmlGPUNotFound:   {"cannot find it", "lspci"},
		nvmlNoPower:       {"enough power", "cables"},
		999:               {"gives no access to this GPU", "dmesg"},
	} {
		for at, spoil := range map[string]func(*fakeGPU){
			"handle": func(g *fakeGPU) { g.refused = returned(code) },
			"name":   func(g *fakeGPU) { g.nameless = returned(code) },
			"sensors": func(g *fakeGPU) {
				if g.lost = returned(code); code == 999 { // may concern only the sensors
					g.lost, g.refused = nil, returned(code)
				}
			},
		} {
			t.Run(fmt.Sprint(code, " ", at), func(t *testing.T) {
				bubble(t, func(t *testing.T, now func() int64) {
					lib := newFakeLib(3, 400, now)
					spoil(lib.gpus[1])
					m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
					if err != nil {
						t.Fatal(err)
					}
					if got := names(m); !slices.Equal(got, []string{"gpu0", "gpu2"}) {
						t.Errorf("devices %v", got)
					}
					missing := m.Missing()
					if len(missing) != 1 || missing[0].Source != "nvml gpu1" ||
						!strings.Contains(missing[0].Message, want.message) ||
						!strings.Contains(missing[0].Message, fmt.Sprintf("nvml code %d", code)) ||
						!strings.Contains(missing[0].Next, want.next) {
						t.Errorf("missing %+v, want gpu1: %+v", missing, want)
					}
				})
			})
		}
	}
}

func names(m *Meter) (ids []string) {
	for _, d := range m.Devices() {
		ids = append(ids, d.ID)
	}
	return ids
}

// TestAllBadGPUsAreListed: all of them, not only the first.
func TestAllBadGPUsAreListed(t *testing.T) {
	lib := newFakeLib(2, 400, func() int64 { return int64(time.Hour) })
	lib.gpus[0].refused, lib.gpus[1].nameless = returned(nvmlNoPermission), returned(nvmlLost)
	_, err := openNVML(t.Context(), lib, Options{}, power.SystemClocks())
	all, ok := errors.AsType[Refusals](err)
	if !ok || len(all) != 2 || all[0].Source != "nvml gpu0" || all[1].Source != "nvml gpu1" || lib.closed != 1 {
		t.Errorf("error %#v, library closed %d times", err, lib.closed)
	}
}

// TestVisibleBadGPUs: indices count the GPUs that CUDA can open, and a bad GPU is listed if it was requested.
func TestVisibleBadGPUs(t *testing.T) {
	bad := returned(nvmlLost)
	gpus := func(refused ...int) []nvmlIdentity {
		list := []nvmlIdentity{{UUID: "GPU-aa11"}, {UUID: "GPU-bb22"}, {UUID: "GPU-cc33"}}
		for _, i := range refused {
			list[i].refused = bad
		}
		return list
	}
	unknown := gpus(1)
	unknown[1].UUID = ""
	for _, c := range []struct {
		spec            string
		gpus            []nvmlIdentity
		chosen, missing []int
		doubt           string
	}{
		{"0", gpus(2), []int{0}, nil, ""},
		{"0,1", gpus(2), []int{0, 1}, nil, ""},
		{"2", gpus(2), nil, []int{2}, ""},
		{"0,2,1", gpus(2), []int{0, 1}, []int{2}, ""},
		{"0", gpus(0), []int{1}, nil, "as CUDA counts, so that 0 is gpu1"},
		{"1", gpus(0), []int{2}, nil, "as CUDA counts, so that 1 is gpu2"},
		{"2", gpus(0), []int{2}, nil, "as nvidia-smi counts"},
		{"1,2", gpus(0), []int{1, 2}, nil, "as nvidia-smi counts"},
		{"1", gpus(0, 1), []int{}, []int{1}, ""},
		{"0,1,2", gpus(1), []int{0, 2}, []int{1}, "2 is gpu2"},
		{"GPU-cc", gpus(0), []int{2}, nil, ""},
		{"GPU-aa", gpus(0), nil, []int{0}, ""},
		{"GPU-bb22,GPU-cc", gpus(0), []int{1, 2}, nil, ""},
		{"GPU-cc,GPU-aa11,GPU-bb", gpus(0), []int{2, 1}, []int{0}, ""},
		{"GPU-aa", unknown, []int{0}, nil, ""},
		{"GPU-dd", unknown, nil, []int{1}, ""},
		{"GPU-aa,GPU-dd", unknown, []int{0}, []int{1}, ""},
		{"0,MIG-1", gpus(1), []int{0}, []int{-1}, ""},
	} {
		v, err := visibleGPUs(&c.spec, c.gpus)
		var sources []string
		for _, i := range c.missing {
			sources = append(sources, map[bool]string{true: fmt.Sprintf("nvml gpu%d", i), false: "nvml"}[i >= 0])
		}
		var got []string
		for _, u := range v.missing {
			got = append(got, u.Source)
		}
		if !slices.Equal(v.chosen, c.chosen) || !slices.Equal(got, sources) || err != nil ||
			!strings.Contains(v.doubt, c.doubt) || (v.doubt == "") != (c.doubt == "") {
			t.Errorf("%s: chosen %v, missing %v, doubt %q, %v; want %+v", c.spec, v.chosen, got, v.doubt, err, c)
		}
	}
	if v, err := visibleGPUs(nil, gpus(1)); !slices.Equal(v.chosen, []int{0, 2}) || len(v.missing) != 1 || err != nil {
		t.Errorf("unset: %+v, %v", v, err)
	}
	none := ""
	if v, err := visibleGPUs(&none, gpus(1)); err == nil || v.missing != nil {
		t.Errorf("none visible: %+v, %v", v, err)
	}
}

// TestOrderWarningLeavesOutBadGPUs: GPUs that CUDA cannot open have no place in its order.
func TestOrderWarningLeavesOutBadGPUs(t *testing.T) {
	spec := "1"
	gpus := []nvmlIdentity{{refused: returned(nvmlLost)}, {Name: "A"}, {Name: "A"}}
	if w := orderWarning(&spec, "", gpus); w != "" {
		t.Errorf("warning %q", w)
	}
	gpus = append(gpus, nvmlIdentity{Name: "B"})
	if w := orderWarning(&spec, "", gpus); !strings.Contains(w, "(A, B)") {
		t.Errorf("warning %q, want A and B", w)
	}
}
