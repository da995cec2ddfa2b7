package estimate

import (
	"cmp"
	"fmt"
	"sort"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Fit reports whether a run fits into memory.
type Fit struct {
	OK bool
	// Tight: it fits, but the estimate's upper end or the allocator's reserve does not.
	Tight bool
	// Batch is the largest batch that fits; 0 if none does.
	Batch int
	// Reason for a user; never empty.
	Reason string
	// Next is what would make it fit; empty if it fits.
	Next   string
	Memory Memory
}

// mostBatch bounds the search for the largest batch.
const mostBatch = 1 << 16

// Fits compares the memory that the run needs on one device with the free memory there; 0 means the whole memory
// of the device. The Setup must be valid.
func (s Setup) Fits(free digits.Bytes) Fit {
	if err := s.Validate(); err != nil {
		return Fit{Reason: "not estimated: " + err.Error()}
	}
	free = cmp.Or(free, s.Device.Memory)
	m := s.Memory()
	where := fmt.Sprintf("%v on %s", free, s.Device.Name)
	pool := s.pool()
	if pool > free {
		return Fit{Memory: m, Reason: fmt.Sprintf("%s takes %v at start (%.0f %% of the device) of %s",
			s.Backend, pool, 100*s.profile().pool, where),
			Next: "lower " + cmp.Or(s.Keys.Pool, "that share") + ", or free the device"}
	}
	if pool > 0 {
		free = pool
		where = fmt.Sprintf("the %v that %s takes on %s", free, s.Backend, s.Device.Name)
	}
	if s.PoolCache > 0 && m.KVCache > s.PoolCache {
		f := Fit{Memory: m, Batch: s.LargestBatch(free),
			Reason: fmt.Sprintf("needs a KV cache of %v, and %s gets %v for it",
				m.KVCache, s.Backend, s.PoolCache), Next: "raise " + cmp.Or(s.Keys.PoolCache, "that")}
		if f.Batch > 0 {
			f.Next += ", or " + s.smaller(f.Batch)
		}
		return f
	}
	if m.Device > free && s.PoolCache > 0 {
		return Fit{Memory: m, Reason: fmt.Sprintf("%s takes %v with the given KV cache of %s", s.Backend,
			m.Device, where), Next: "lower " + cmp.Or(s.Keys.PoolCache, "it")}
	}
	f := Fit{Memory: m, OK: m.Needed() <= free, Batch: s.LargestBatch(free)}
	if f.OK {
		f.Reason = fmt.Sprintf("needs %s of %s", m.Parts(), where)
		if f.Tight = m.High+m.Context > free || (m.Device > free && pool == 0); f.Tight {
			f.Reason += ": tight"
		}
		return f
	}
	f.Reason, f.Next = fmt.Sprintf("needs %s of %s", m.Parts(), where), s.remedy(m, free, f.Batch)
	if f.Batch == 0 {
		f.Reason += "; not even a batch of 1 fits"
	}
	return f
}

// remedy returns what would make it fit.
func (s Setup) remedy(m Memory, free digits.Bytes, batch int) string {
	if batch > 0 {
		return s.smaller(batch)
	}
	var ways []string
	if m.Weights+m.Context < free {
		ways = append(ways, "shorten the prompt or the output")
	}
	if n := s.devicesFor(free); s.Keys.Parallel != "" && n > 0 {
		ways = append(ways, fmt.Sprintf("share it among %d devices", n)+set(s.Keys.Parallel, n))
	}
	if s.format().bits() > 4.5 {
		ways = append(ways, "use a narrower dtype or quantised weights")
	}
	ways = append(ways, "choose a smaller model or a larger device")
	return strings.Join(ways, ", ")
}

// smaller returns the hint that a batch fits.
func (s Setup) smaller(batch int) string {
	return fmt.Sprintf("reduce the batch to %d", batch) + set(s.Keys.Batch, batch)
}

// devicesFor returns the smallest power of two of devices on which a batch of 1 fits.
func (s Setup) devicesFor(free digits.Bytes) int {
	for n := 2 * s.parallel(); n <= 64; n *= 2 {
		t := s.withBatch(1)
		t.Parallel = n
		if t.Memory().Needed() <= free {
			return n
		}
	}
	return 0
}

// LargestBatch returns the largest batch, in a workload of at least as many prompts, that fits into this much
// memory of a device; 0 if none does.
func (s Setup) LargestBatch(free digits.Bytes) int {
	return sort.Search(mostBatch, func(i int) bool {
		t := s.withBatch(i + 1)
		if t.Validate() != nil {
			return true
		}
		m := t.Memory()
		return m.Needed() > free || s.PoolCache > 0 && m.KVCache > s.PoolCache
	})
}

// withBatch returns the Setup with another batch and enough prompts to fill it.
func (s Setup) withBatch(n int) Setup {
	s.Work.Batch = n
	s.Work.Prompts = max(n, s.Work.Prompts)
	return s
}
