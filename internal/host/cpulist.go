package host

import (
	"slices"
	"strconv"
	"strings"
)

// maxCPU bounds the numbers in a CPU list; kernels are built for at most 8192.
const maxCPU = 1 << 16

// parseCPUList parses the kernel's list format, "0-3,8", to ascending numbers. An empty list is valid: a node
// may have no processors. Strides ("0-8:2/4") are rejected; the kernel accepts but never writes them.
func parseCPUList(text string) ([]int, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, true
	}
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		lo, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			return nil, false
		}
		hi := lo
		if isRange {
			if hi, err = strconv.ParseUint(to, 10, 16); err != nil || hi < lo {
				return nil, false
			}
		}
		if len(list)+int(hi-lo) > maxCPU {
			return nil, false
		}
		for n := lo; n <= hi; n++ {
			list = append(list, int(n))
		}
	}
	return sorted(list), true
}

// sorted returns the distinct numbers of list in ascending order; list itself
// is reused.
func sorted(list []int) []int {
	slices.Sort(list)
	return slices.Compact(list)
}

// intersect returns the numbers that are in both ascending lists.
func intersect(a, b []int) []int {
	var out []int
	for _, n := range a {
		if _, ok := slices.BinarySearch(b, n); ok {
			out = append(out, n)
		}
	}
	return out
}

// cpuList reads a file in list form.
func (r *reader) cpuList(name string) ([]int, error) {
	t, err := r.text(name)
	if err != nil {
		return nil, err
	}
	list, ok := parseCPUList(t)
	if !ok {
		return nil, errFormat
	}
	return list, nil
}
