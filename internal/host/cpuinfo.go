package host

import (
	"slices"
	"strconv"
	"strings"
)

// cpuInfo is the content of /proc/cpuinfo. The file's format differs by architecture; a missing key leaves
// its field empty.
type cpuInfo struct {
	cpus       []int    // numbers of the processors listed
	models     []string // distinct, in order of appearance
	vendor     string
	microcode  string
	flags      []string // flags of the first processor with flags; nil if there is no such line
	hypervisor bool     // the CPU reports that it is virtual (x86)
	packages   int      // distinct physical ids; 0 if not listed
	cores      [][]int  // processors by physical core; nil if not listed
}

// parseCPUInfo reads /proc/cpuinfo: paragraphs of "key : value", one per
// processor.
func parseCPUInfo(text string) cpuInfo {
	var info cpuInfo
	type coreID struct{ pkg, core string }
	packages := map[string]bool{}
	byCore := map[coreID]int{} // index into info.cores
	cur := map[string]string{}

	flush := func() {
		if len(cur) == 0 {
			return
		}
		info.addModel(modelName(cur))
		if info.vendor == "" {
			info.vendor = vendorName(cur)
		}
		if info.microcode == "" {
			info.microcode = clean(cur["microcode"])
		}
		if info.flags == nil {
			if list, ok := firstKey(cur, "flags", "Features", "features", "isa"); ok {
				info.flags = append([]string{}, strings.Fields(list)...)
				info.hypervisor = slices.Contains(info.flags, "hypervisor")
			}
		}
		n, err := strconv.ParseUint(cur["processor"], 10, 16)
		if err == nil && len(info.cpus) < maxCPU {
			info.cpus = append(info.cpus, int(n))
			pkg, hasPkg := cur["physical id"]
			core, hasCore := cur["core id"]
			if hasPkg {
				packages[pkg] = true
			}
			if hasPkg && hasCore {
				id := coreID{pkg, core}
				i, seen := byCore[id]
				if !seen {
					i = len(info.cores)
					byCore[id] = i
					info.cores = append(info.cores, nil)
				}
				info.cores[i] = append(info.cores[i], int(n))
			}
		}
		clear(cur)
	}

	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			if strings.TrimSpace(line) == "" {
				flush()
			}
			continue
		}
		key = strings.TrimSpace(key)
		if _, again := cur["processor"]; again && key == "processor" {
			flush() // some kernels omit the blank line
		}
		if _, seen := cur[key]; !seen {
			cur[key] = strings.TrimSpace(value)
		}
	}
	flush()
	info.packages = len(packages)
	info.cpus = sorted(info.cpus)
	for i := range info.cores {
		info.cores[i] = sorted(info.cores[i])
	}
	return info
}

func (c *cpuInfo) addModel(name string) {
	if name != "" && len(c.models) < 4 && !slices.Contains(c.models, name) {
		c.models = append(c.models, name)
	}
}

func firstKey(m map[string]string, keys ...string) (string, bool) {
	for _, k := range keys {
		if v, ok := m[k]; ok {
			return v, true
		}
	}
	return "", false
}

// modelName returns the name in one paragraph. 64-bit Arm kernels list only numbers, which are translated if
// known.
func modelName(cur map[string]string) string {
	if name, ok := firstKey(cur, "model name", "cpu model", "uarch", "cpu"); ok {
		return clean(name)
	}
	impl, part := cur["CPU implementer"], cur["CPU part"]
	if impl == "" || part == "" {
		return ""
	}
	if name := armPart(impl, part); name != "" {
		return name
	}
	return clean("implementer " + impl + " part " + part)
}

func vendorName(cur map[string]string) string {
	if v, ok := firstKey(cur, "vendor_id", "mvendorid"); ok {
		return clean(v)
	}
	impl := cur["CPU implementer"]
	switch impl {
	case "":
		return ""
	case "0x41":
		return "ARM"
	case "0x42":
		return "Broadcom"
	case "0x43":
		return "Cavium"
	case "0x46":
		return "Fujitsu"
	case "0x48":
		return "HiSilicon"
	case "0x4e":
		return "NVIDIA"
	case "0x51":
		return "Qualcomm"
	case "0x61":
		return "Apple"
	case "0x6d":
		return "Microsoft"
	case "0xc0":
		return "Ampere"
	}
	return clean("implementer " + impl)
}

// armPart returns the name of a core by the implementer and part number of its main ID register, as in the
// kernel's arch/arm64/include/asm/cputype.h.
func armPart(impl, part string) string {
	switch impl + " " + part {
	case "0x41 0xd03":
		return "Cortex-A53"
	case "0x41 0xd05":
		return "Cortex-A55"
	case "0x41 0xd07":
		return "Cortex-A57"
	case "0x41 0xd08":
		return "Cortex-A72"
	case "0x41 0xd0b":
		return "Cortex-A76"
	case "0x41 0xd0c":
		return "Neoverse-N1"
	case "0x41 0xd40":
		return "Neoverse-V1"
	case "0x41 0xd42":
		return "Cortex-A78AE"
	case "0x41 0xd49":
		return "Neoverse-N2"
	case "0x41 0xd4f":
		return "Neoverse-V2"
	case "0x41 0xd84":
		return "Neoverse-V3"
	case "0x41 0xd8e":
		return "Neoverse-N3"
	case "0x46 0x001":
		return "A64FX"
	case "0x48 0xd01":
		return "Kunpeng-920"
	case "0x4e 0x004":
		return "Carmel"
	case "0xc0 0xac3":
		return "Ampere-1"
	case "0xc0 0xac4":
		return "Ampere-1A"
	}
	return ""
}

// flagsOfInterest selects the flags of a CPU that determine the speed of matrix code, under the same names
// for all architectures.
func flagsOfInterest(flags []string) []string {
	out := []string{}
	for _, f := range flags {
		switch f {
		case "avx", "avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni",
			"amx_bf16", "amx_int8", "f16c", "fma",
			"sve", "sve2", "bf16", "i8mm", "svebf16", "svei8mm", "sme":
			out = append(out, f)
		case "amx_tile":
			out = append(out, "amx")
		case "asimd", "neon":
			out = append(out, "neon")
		case "asimddp":
			out = append(out, "dotprod")
		case "asimdhp":
			out = append(out, "fp16")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
