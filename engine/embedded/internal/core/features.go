//go:build cgo

package core

// #include "flags.h"
import "C"

import (
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// feature is an instruction set that the C++ code may have been compiled for.
type feature struct {
	bit  uint32
	name string
	cpu  func() bool
}

func features() []feature {
	return []feature{
		{C.LLEM_AVX2, "avx2", func() bool { return cpu.X86.HasAVX2 }},
		{C.LLEM_FMA, "fma", func() bool { return cpu.X86.HasFMA }},
		{C.LLEM_F16C, "f16c", func() bool { return cpu.X86.HasAVX2 }}, // every AVX2 CPU has F16C
		{C.LLEM_AVX512F, "avx512f", func() bool { return cpu.X86.HasAVX512F }},
		{C.LLEM_AVX512BF16, "avx512_bf16", func() bool { return cpu.X86.HasAVX512BF16 }},
		{C.LLEM_AVX512VNNI, "avx512_vnni", func() bool { return cpu.X86.HasAVX512VNNI }},
		{C.LLEM_NEON, "neon", func() bool { return true }},
		{C.LLEM_FP16, "fp16", func() bool { return cpu.ARM64.HasASIMDHP }},
	}
}

// compiled lists the instruction sets of the C++ code, and the ones that this CPU lacks.
func compiled() (names, missing []string) {
	bits := uint32(C.llem_cxx_features())
	for _, f := range features() {
		if bits&f.bit == 0 {
			continue
		}
		names = append(names, f.name)
		if !f.cpu() {
			missing = append(missing, f.name)
		}
	}
	return names, missing
}

// slowBuild explains that the C++ code was compiled without the flags that make it fast; it is empty for a good
// build.
func slowBuild() string {
	bits := uint32(C.llem_cxx_features())
	fast := bits&C.LLEM_AVX2 != 0 && bits&C.LLEM_FMA != 0
	if runtime.GOARCH == "arm64" {
		fast = bits&C.LLEM_FP16 != 0
	}
	if fast && bits&C.LLEM_OPTIMIZED != 0 {
		return ""
	}
	return "this llem was built without fast C++ flags: prefill may be many times slower than the machine allows; " +
		"build with `make build` (it sets CGO_CFLAGS and CGO_CXXFLAGS to -O3 -march=native)"
}

// Info describes the engine in this binary.
func Info() (backend.Info, error) {
	names, missing := compiled()
	if len(missing) > 0 {
		return backend.Info{}, note.Failf(codes.ClassIllegal,
			"rebuild on this machine with `make build`, or with `make build PORTABLE=1`",
			"this llem was built for %s, which this CPU does not have", strings.Join(missing, ", "))
	}
	info := backend.Info{Version: engineVersion(), Device: "cpu", Versions: map[string]string{
		"ollama": engineVersion(), "cxx_features": strings.Join(names, " "),
	}}
	if note := slowBuild(); note != "" {
		info.Notes = append(info.Notes, note)
	}
	return info, nil
}

// engineModule is the module that holds the engine.
const engineModule = "github.com/ollama/ollama"

// engineVersion returns the version of the engine's module in this binary.
func engineVersion() string {
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, m := range bi.Deps {
			if m.Path == engineModule {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "unknown"
}
