package store

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

// memory notes what the peaks of memory of the runs are.
func (e experiment) memory(runs []*result.Row) {
	for _, r := range runs {
		e.MemoryMethod, e.ProcessMethod = oneMethod(e.MemoryMethod, r.MemoryMethod), oneMethod(e.ProcessMethod,
			r.ProcessMethod)
	}
	for _, name := range memoryMetrics {
		if e.Method(name) == result.MemoryMixed {
			e.Caveats.Warn(codes.MemoryMethodsDiffer,
				name+" is not the same thing in all of its runs (see the methods in the rows of --json): "+
					"its mean means nothing")
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

// memoryCaveats say which peaks of memory are not to be compared.
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
		text := fmt.Sprintf("%s is measured in different ways (%s), which are not to be compared", name,
			strings.Join(words, ", "))
		if name == memoryMetrics[0] && len(s.Methods(memoryMetrics[1])) == 1 {
			text += ": compare " + memoryMetrics[1]
		}
		s.Caveats.Warn(codes.MemoryMethodsDiffer, text)
	}
}
