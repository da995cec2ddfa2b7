package nvml

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/power"
)

// visibleGPUs applies CUDA_VISIBLE_DEVICES to the GPUs that NVML lists and
// returns the indices of those that a CUDA program would see, in its order.
//
// The rules are CUDA's: unset means all, the list ends at its first invalid
// entry (so "" and "-1" mean none), an entry is an index or a UUID that may be
// shortened as long as it stays unique. A slice of a GPU ("MIG-…") is refused:
// power exists for whole GPUs only.
func visibleGPUs(spec *string, gpus []nvmlIdentity) ([]int, error) {
	if spec == nil {
		all := make([]int, len(gpus))
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	var chosen []int
	taken := make(map[int]bool)
	for entry := range strings.SplitSeq(*spec, ",") {
		entry = strings.TrimSpace(entry)
		if strings.HasPrefix(entry, "MIG-") {
			return nil, power.NoSensor("nvml", fmt.Sprintf(
				"CUDA_VISIBLE_DEVICES names %s, a slice of a GPU, but power is measured for whole GPUs only",
				entry), "name the GPU itself, with MIG mode off (sudo nvidia-smi -mig 0)")
		}
		i, ok := findGPU(entry, gpus)
		if !ok || taken[i] {
			break
		}
		taken[i] = true
		chosen = append(chosen, i)
	}
	if len(chosen) == 0 {
		return nil, power.NoSensor("nvml",
			fmt.Sprintf("CUDA_VISIBLE_DEVICES=%q leaves none of the %d GPUs visible", *spec,
				len(gpus)), "unset CUDA_VISIBLE_DEVICES")
	}
	return chosen, nil
}

// findGPU resolves one entry of CUDA_VISIBLE_DEVICES.
func findGPU(entry string, gpus []nvmlIdentity) (int, bool) {
	if n, err := strconv.Atoi(entry); err == nil {
		return n, n >= 0 && n < len(gpus)
	}
	if !strings.HasPrefix(entry, "GPU-") {
		return 0, false
	}
	found, matches := 0, 0
	for i, g := range gpus {
		if strings.HasPrefix(g.UUID, entry) {
			found = i
			matches++
		}
	}
	return found, matches == 1
}

// orderWarning says when indices may mean different GPUs to CUDA and to NVML:
// CUDA puts the fastest first unless CUDA_DEVICE_ORDER is PCI_BUS_ID. Between
// GPUs of one model both follow the PCI bus.
func orderWarning(spec *string, deviceOrder string, gpus []nvmlIdentity) string {
	if spec == nil || deviceOrder == "PCI_BUS_ID" || !strings.ContainsAny(*spec, "0123456789") ||
		strings.HasPrefix(strings.TrimSpace(*spec), "GPU-") {
		return ""
	}
	for _, g := range gpus[1:] {
		if g.Name != gpus[0].Name {
			return fmt.Sprintf(
				"the GPUs here differ (%s, %s): the indices in CUDA_VISIBLE_DEVICES=%s were read in PCI order, "+
					"but CUDA counts the fastest first; set CUDA_DEVICE_ORDER=PCI_BUS_ID or use UUIDs",
				gpus[0].Name, g.Name, *spec)
		}
	}
	return ""
}
