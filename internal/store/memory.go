package store

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

// memory records the methods of the runs' memory peaks.
func (e experiment) memory(runs []*result.Row) {
	for _, r := range runs {
		e.MemoryMethod, e.ProcessMethod = oneMethod(e.MemoryMethod, r.MemoryMethod), oneMethod(e.ProcessMethod,
			r.ProcessMethod)
	}
	for _, name := range memoryMetrics {
		if e.Method(name) == result.MemoryMixed {
			e.Caveats.Warn(codes.MemoryMethodsDiffer,
				name+" was measured by different methods in its runs (see the methods in the rows of --json): "+
					"its mean has no meaning")
		}
	}
}

var memoryMetrics = []string{"memory.peak_bytes", "memory.process_peak_bytes"}

func oneMethod(a, b result.MemoryMethod) result.MemoryMethod {
	switch {
	case a == "":
		return b
	case b == "" || a == b:
		return a
	}
	return result.MemoryMixed
}

// memoryCaveats warns of memory peaks that must not be compared.
func (s summary) memoryCaveats() {
	for _, name := range memoryMetrics {
		methods := s.Methods(name)
		if len(methods) < 2 {
			continue
		}
		words := make([]string, len(methods))
		for i, m := range methods {
			words[i] = string(m)
		}
		text := fmt.Sprintf("%s is measured in different ways (%s), which cannot be compared", name,
			strings.Join(words, ", "))
		if name == memoryMetrics[0] && len(s.Methods(memoryMetrics[1])) == 1 {
			text += ": compare " + memoryMetrics[1]
		}
		s.Caveats.Warn(codes.MemoryMethodsDiffer, text)
	}
}
