package estimate

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/unit"
)

// Device is the data sheet of an accelerator, or a guess about a CPU. Rates are for dense matrices: data sheets
// often print twice as much, which holds for 2:4 sparse weights only.
type Device struct {
	Name   string // as in the catalogue, such as "H200 SXM"
	Source string // the data sheet
	// Aliases are other names, in lower case, as users and NVML write them.
	Aliases []string
	// Capability is the CUDA compute capability ("9.0"), the gfx name of an AMD
	// device, or empty.
	Capability string
	Memory     digits.Bytes // as reported by the driver, if known
	Bandwidth  float64      // bytes per second
	Rates      Rates
	TDP        unit.Watts
	// Idle is rough: only the H200 was measured.
	Idle unit.Watts
	// Host reports that this is the host's CPU: it holds the whole model in host memory and has no kernel launches.
	Host bool
}

// Rates are peak operations per second, a multiply-add counting as two. 0 means that the device has no units for
// the format.
type Rates struct {
	FP32 float64 // vector units
	TF32 float64 // matrix units, for float32 operands that may be rounded
	FP16 float64
	BF16 float64
	FP8  float64
	Int8 float64
}

// Rate returns the peak for weights of a format. Weights in formats without matrix units are widened and computed
// in 16 bits; PyTorch computes float32 without TF32 by default.
func (d Device) Rate(f Format) float64 {
	r := d.Rates
	switch f {
	case FP32:
		return r.FP32
	case BF16:
		return r.BF16
	case FP8:
		return cmp.Or(r.FP8, r.BF16, r.FP16)
	case Int8:
		return cmp.Or(r.Int8, r.FP16)
	}
	return r.FP16
}

// Supports reports whether the device computes in a format itself. Int4 and ggml's formats are always widened to
// 16 bits.
func (d Device) Supports(f Format) bool {
	switch f {
	case FP32:
		return d.Rates.FP32 > 0
	case BF16:
		return d.Rates.BF16 > 0
	case FP8:
		return d.Rates.FP8 > 0
	case Int8:
		return d.Rates.Int8 > 0
	}
	return d.Rates.FP16 > 0
}

// Formats lists the formats that the device computes in.
func (d Device) Formats() []Format {
	return slices.DeleteFunc(Formats(), func(f Format) bool { return !d.Supports(f) })
}

// With replaces the catalogue's memory and power limit by the values that a driver reports; zero values change
// nothing.
func (d Device) With(memory digits.Bytes, limit unit.Watts) Device {
	d.Memory = cmp.Or(memory, d.Memory)
	d.TDP = cmp.Or(limit, d.TDP)
	d.Idle = min(d.Idle, d.TDP)
	return d
}

// Constants of [Processor], fitted on one run of the embedded engine (16 cores of a
// Xeon with AMX, llama-3.2-1b in float16, batch 8, 256 tokens in, 64 out): 2048
// prompt tokens in 7.0 s, decode steps of 76 ms.
const (
	coreRate      = 37e9  // operations per second and core
	coreBandwidth = 4e9   // bytes per second and core …
	hostBandwidth = 100e9 // … up to the bandwidth of a socket's memory
	// The same as in the model of package power.
	coreWatts, coreIdleShare = 8, 0.25
)

// Processor returns a guess about a host with this many cores.
func Processor(cores int, memory digits.Bytes) Device {
	n := float64(max(1, cores))
	rate := n * coreRate
	return Device{
		Name: fmt.Sprintf("processor with %d cores", max(1, cores)), Memory: memory, Host: true,
		Bandwidth: min(n*coreBandwidth, hostBandwidth),
		Rates:     Rates{FP32: rate, FP16: rate, BF16: rate, Int8: rate},
		TDP:       unit.Watts(n * coreWatts), Idle: unit.Watts(n * coreWatts * coreIdleShare),
	}
}

// IdleLimit returns a power that an idle card of this name does not exceed, even if it holds a context or has just
// worked: three times its idle power or half of its power limit, whichever is more. An H200 idles at 79 W, at 124
// W with a context; small cards do not lower their clocks as far. It is 0 for a name that is not in the catalogue.
func IdleLimit(name string) unit.Watts {
	d, err := Lookup(name)
	if err != nil {
		return 0
	}
	return max(3*d.Idle, d.TDP/2)
}

// Devices returns the catalogue.
func Devices() []Device { return slices.Clone(catalogue) }

// Lookup finds a device by a user's or the driver's name for it: "h200", "NVIDIA H100 80GB HBM3", "rtx4090". Every
// word of the name counts: a variant that is not in the catalogue ("Laptop") is an error, and so is an unknown
// name; both errors name the nearest device. A capacity in the name overrides the catalogue's, and the device's
// name then shows it.
func Lookup(name string) (Device, error) {
	want := words(name)
	if len(want) == 0 {
		return Device{}, fmt.Errorf("no device given: use one of %s", strings.Join(deviceNames(catalogue), ", "))
	}
	if slices.Contains(want, "mig") {
		return Device{}, fmt.Errorf("device %q is a slice of a GPU: the catalogue has whole GPUs only", name)
	}
	if d, ok := named(want); ok {
		return d, nil
	}
	bare, capacity := withoutCapacity(want)
	if d, ok := sized(bare, capacity); ok {
		return d, nil
	}
	if d, ok := named(bare); ok && capacity > 0 {
		d.Memory = capacity
		d.Name = fmt.Sprintf("%s with %.0f GB as named", strings.Join(withoutSize(d.Name), " "), gigabytes(capacity))
		return d, nil
	}
	if d, surplus := variant(bare); len(surplus) > 0 {
		return Device{}, fmt.Errorf("device %q is not in the catalogue: it has %s, but not its variant %q; "+
			"use %[2]s for the data of that one. All: %[4]s", name, d.Name, strings.Join(surplus, " "),
			strings.Join(deviceNames(catalogue), ", "))
	}
	return Device{}, fmt.Errorf("device %q is not in the catalogue: did you mean %s? All: %s", name,
		strings.Join(nearest(want), " or "), strings.Join(deviceNames(catalogue), ", "))
}

// named finds the device that has a name with exactly these words, in any order.
func named(want []string) (Device, bool) {
	key := sortedWords(want)
	for _, d := range catalogue {
		for _, n := range d.names() {
			w := words(n)
			if strings.Join(w, "") == strings.Join(want, "") || sortedWords(w) == key {
				return d, true
			}
		}
	}
	return Device{}, false
}

func sortedWords(w []string) string { return strings.Join(slices.Sorted(slices.Values(w)), " ") }

// sized finds the device that has a name with exactly these words and about this capacity: drivers report up to 7
// % less than is printed on the card.
func sized(bare []string, capacity digits.Bytes) (Device, bool) {
	for _, d := range catalogue {
		for _, n := range d.names() {
			rest, _ := withoutCapacity(words(n))
			if sortedWords(rest) == sortedWords(bare) && capacity > 0 &&
				math.Abs(float64(d.Memory)/float64(capacity)-1) < 0.08 {
				return d, true
			}
		}
	}
	return Device{}, false
}

// variant finds the device that has a name whose words all occur, and returns the remaining words; if there are
// several, the one with the fewest remaining words.
func variant(want []string) (best Device, surplus []string) {
	for _, d := range catalogue {
		for _, n := range d.names() {
			w := words(n)
			rest := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(w, s) })
			if contains(want, w) && (surplus == nil || len(rest) < len(surplus)) {
				best, surplus = d, rest
			}
		}
	}
	return best, surplus
}

// capacityWord matches a capacity in a name, such as 80gb.
var capacityWord = regexp.MustCompile(`^([0-9]+)gb?$`)

// withoutCapacity removes the capacity from the words of a name; 0 if there is none.
func withoutCapacity(want []string) (rest []string, capacity digits.Bytes) {
	for _, w := range want {
		if m := capacityWord.FindStringSubmatch(w); m != nil {
			n, err := strconv.Atoi(m[1])
			if err == nil && n > 0 && n < 1<<20 {
				capacity = digits.Bytes(n) << 30
				continue
			}
		}
		rest = append(rest, w)
	}
	return rest, capacity
}

// withoutSize removes the capacity from a device's name as written.
func withoutSize(name string) []string {
	return slices.DeleteFunc(strings.Fields(name), func(w string) bool {
		return capacityWord.MatchString(strings.ToLower(w))
	})
}

func gigabytes(b digits.Bytes) float64 { return float64(b) / (1 << 30) }

func (d Device) names() []string { return append([]string{d.Name}, d.Aliases...) }

func deviceNames(devices []Device) []string {
	var out []string
	for _, d := range devices {
		out = append(out, d.Name)
	}
	return out
}

// words splits a name into lower-case words, without the makers and filler words.
func words(name string) []string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return slices.DeleteFunc(fields, func(w string) bool {
		switch w {
		case "nvidia", "amd", "geforce", "tesla", "instinct", "gpu", "graphics", "accelerator", "tensor", "core",
			"generation", "hbm2", "hbm2e", "hbm3", "hbm3e", "gddr6", "gddr6x", "gddr7", "oam":
			return true
		}
		return false
	})
}

func contains(all, some []string) bool {
	for _, w := range some {
		if !slices.Contains(all, w) {
			return false
		}
	}
	return true
}

// nearest names up to three devices whose names are most similar to the words.
func nearest(want []string) []string {
	type scored struct {
		name string
		d    int
	}
	joined := strings.Join(want, "")
	var all []scored
	for _, d := range catalogue {
		s := scored{d.Name, 1 << 20}
		for _, n := range d.names() {
			s.d = min(s.d, near.Distance(joined, strings.Join(words(n), "")))
		}
		// A matching model number counts more than similar spelling.
		for _, w := range words(d.Name) {
			if len(w) >= 2 && strings.ContainsFunc(w, unicode.IsDigit) && strings.Contains(joined, w) {
				s.d = min(s.d, 1)
			}
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(a.d, b.d) })
	var out []string
	for _, s := range all[:min(3, len(all))] {
		if s.d <= all[0].d+2 {
			out = append(out, s.name)
		}
	}
	return out
}
