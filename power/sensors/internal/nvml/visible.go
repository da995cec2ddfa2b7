package nvml

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// visible are the GPUs that a CUDA program can use.
type visible struct {
	// chosen are NVML's indices of the usable GPUs, in CUDA's order.
	chosen []int
	// missing explains the requested GPUs that cannot be used.
	missing []power.Unavailable
	// doubt is a warning that indices may refer to other GPUs; empty if there is none.
	doubt string
}

// visibleGPUs applies CUDA_VISIBLE_DEVICES to the GPUs that NVML lists.
//
// CUDA's rules are: unset means all; the list ends at its first invalid entry (so "" and "-1" mean none); an
// entry is an index or a UUID, which may be shortened to a unique prefix. CUDA counts only the GPUs that it
// can open: a GPU that a cgroup hides or that the driver has lost has no index. If an index only exists in
// the driver's count, all indices are read in that count, which nvidia-smi shows. A slice of a GPU ("MIG-…")
// is rejected, because power is measured for whole GPUs only.
func visibleGPUs(spec *string, gpus []nvmlIdentity) (visible, error) {
	var v visible
	if spec == nil {
		for i, g := range gpus {
			v.add(i, g)
		}
		return v, nil
	}
	entries := strings.Split(*spec, ",")
	count := countingOf(entries, gpus)
	taken := make(map[int]bool)
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if strings.HasPrefix(entry, "MIG-") {
			v.missing = append(v.missing, sensor.NoSensor("nvml", fmt.Sprintf(
				"CUDA_VISIBLE_DEVICES names %s, a slice of a GPU, but power is measured for whole GPUs only",
				entry), "name the GPU itself, with MIG mode off (sudo nvidia-smi -mig 0)"))
			break
		}
		i, ok := findGPU(entry, gpus, count)
		if !ok {
			v.missing = append(v.missing, mayBe(entry, gpus)...)
			break
		}
		if taken[i] {
			break
		}
		taken[i] = true
		v.add(i, gpus[i])
	}
	if len(v.chosen)+len(v.missing) == 0 {
		return v, sensor.NoSensor("nvml",
			fmt.Sprintf("CUDA_VISIBLE_DEVICES=%q leaves none of the %d GPUs visible", *spec,
				len(gpus)), "unset CUDA_VISIBLE_DEVICES")
	}
	v.doubt = countDoubt(*spec, entries, gpus, count)
	return v, nil
}

// add adds a GPU, or the reason why it cannot be used.
func (v *visible) add(index int, g nvmlIdentity) {
	if g.refused != nil {
		v.missing = append(v.missing, refusal(index, g.refused))
		return
	}
	v.chosen = append(v.chosen, index)
}

// countingOf lists the GPUs that indices in CUDA_VISIBLE_DEVICES count: the GPUs that CUDA can open, or all
// of the driver's if an index only exists there.
func countingOf(entries []string, gpus []nvmlIdentity) []int {
	var usable, all []int
	for i, g := range gpus {
		all = append(all, i)
		if g.refused == nil {
			usable = append(usable, i)
		}
	}
	for _, entry := range entries {
		if n, err := strconv.Atoi(strings.TrimSpace(entry)); err == nil && n >= len(usable) && n < len(all) {
			return all
		}
	}
	return usable
}

// findGPU resolves one entry of CUDA_VISIBLE_DEVICES; count has the GPUs that indices count.
func findGPU(entry string, gpus []nvmlIdentity, count []int) (int, bool) {
	if n, err := strconv.Atoi(entry); err == nil {
		if n < 0 || n >= len(count) {
			return 0, false
		}
		return count[n], true
	}
	if !strings.HasPrefix(entry, "GPU-") {
		return 0, false
	}
	// GPUs that CUDA cannot open make no prefix ambiguous.
	for _, usable := range []bool{true, false} {
		var found []int
		for i, g := range gpus {
			if (g.refused == nil) == usable && strings.HasPrefix(g.UUID, entry) {
				found = append(found, i)
			}
		}
		if len(found) > 0 {
			return found[0], len(found) == 1
		}
	}
	return 0, false
}

// mayBe lists the GPUs that an unknown entry may refer to: GPUs whose UUID the driver does not report.
func mayBe(entry string, gpus []nvmlIdentity) (list []power.Unavailable) {
	if !strings.HasPrefix(entry, "GPU-") ||
		slices.ContainsFunc(gpus, func(g nvmlIdentity) bool { return strings.HasPrefix(g.UUID, entry) }) {
		return nil
	}
	for i, g := range gpus {
		if g.refused != nil && g.UUID == "" {
			u := refusal(i, g.refused)
			u.Message += "; it may be the GPU that CUDA_VISIBLE_DEVICES names " + entry
			list = append(list, u)
		}
	}
	return list
}

// countDoubt warns if indices refer to different GPUs depending on whether unusable GPUs are counted.
func countDoubt(spec string, entries []string, gpus []nvmlIdentity, count []int) string {
	first := slices.IndexFunc(gpus, func(g nvmlIdentity) bool { return g.refused != nil })
	if first < 0 {
		return ""
	}
	for _, entry := range entries {
		n, err := strconv.Atoi(strings.TrimSpace(entry))
		if err != nil || n < first || n >= len(count) || gpus[count[n]].refused != nil {
			continue
		}
		how := "without it, as CUDA counts"
		if len(count) == len(gpus) {
			how = "with it, as nvidia-smi counts, since there are not enough other GPUs"
		}
		return fmt.Sprintf("gpu%d cannot be used: the indices in CUDA_VISIBLE_DEVICES=%s were read %s, so that %d "+
			"is gpu%d; list GPUs by UUID", first, spec, how, n, count[n])
	}
	return ""
}

// orderWarning warns if indices may refer to different GPUs in CUDA and NVML: CUDA lists the fastest GPU
// first unless CUDA_DEVICE_ORDER is PCI_BUS_ID. Among GPUs of one model, both follow the PCI bus.
func orderWarning(spec *string, deviceOrder string, gpus []nvmlIdentity) string {
	if spec == nil || deviceOrder == "PCI_BUS_ID" || !strings.ContainsAny(*spec, "0123456789") ||
		strings.HasPrefix(strings.TrimSpace(*spec), "GPU-") {
		return ""
	}
	var first string // the name of the first GPU that CUDA can open
	for _, g := range gpus {
		if g.refused != nil {
			continue
		}
		first = cmp.Or(first, g.Name)
		if g.Name != first {
			return fmt.Sprintf(
				"the GPUs of this machine differ (%s, %s): the indices in CUDA_VISIBLE_DEVICES=%s were read in "+
					"PCI order, "+
					"but CUDA counts the fastest first; set CUDA_DEVICE_ORDER=PCI_BUS_ID or use UUIDs",
				first, g.Name, *spec)
		}
	}
	return ""
}
