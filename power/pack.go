package power

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/unit"
)

// pack stores the samples of one device losslessly, as differences between neighbours. A [Sample] takes 72
// bytes, so an hour of the rings of eight GPUs would take 100 MB. Packed, a ring entry takes 8 bytes.
type pack struct {
	device  string
	sources []string // in order of first use
	blocks  [][]byte
	n       int
	last    entry // the newest sample
}

// entry is a sample as it is packed.
type entry struct {
	mono, step int64 // stamp, and its distance from the one before
	offset     int64 // wall clock minus monotonic clock
	source     int
	milliwatts int64
	window     int64
	since      int64
}

// Bits of the header of a packed sample: the fields that follow.
const (
	packOffset = 1 << iota // a new offset
	packSource             // another source
	packWindow             // another window
	packSince              // a SinceNS
	packFloat              // a power that is not a whole number of milliwatts
)

const (
	// packBlock is the size of one allocation in bytes. Growing adds a block and copies nothing.
	packBlock = 16 << 10
	// packMost is the maximum length of a packed sample in bytes.
	packMost = 1 + 6*binary.MaxVarintLen64
)

// add appends a sample of the device.
func (p *pack) add(s Sample) {
	if n := len(p.blocks); n == 0 || len(p.blocks[n-1])+packMost > packBlock {
		p.blocks = append(p.blocks, make([]byte, 0, packBlock))
	}
	b := &p.blocks[len(p.blocks)-1]
	at := len(*b)
	*b = append(*b, 0)
	old, now := p.last, entry{mono: s.MonoNS, step: s.MonoNS - p.last.mono, offset: s.UnixNS - s.MonoNS,
		source: p.source(s.Source), window: int64(s.Window), since: s.SinceNS, milliwatts: p.last.milliwatts}
	*b = binary.AppendVarint(*b, now.step-old.step)
	flags := byte(0)
	put := func(flag byte, v int64) {
		flags |= flag
		*b = binary.AppendVarint(*b, v)
	}
	if mw := math.Round(float64(s.Power) * 1000); math.Abs(mw) < 1<<52 && mw/1000 == float64(s.Power) &&
		!math.Signbit(float64(s.Power)) {
		now.milliwatts = int64(mw)
		*b = binary.AppendVarint(*b, now.milliwatts-old.milliwatts)
	} else {
		flags |= packFloat
		*b = binary.LittleEndian.AppendUint64(*b, math.Float64bits(float64(s.Power)))
	}
	if now.offset != old.offset {
		put(packOffset, now.offset-old.offset)
	}
	if now.source != old.source {
		put(packSource, int64(now.source))
	}
	if now.window != old.window {
		put(packWindow, now.window)
	}
	if now.since != 0 {
		put(packSince, now.mono-now.since)
	}
	(*b)[at] = flags
	p.last = now
	p.n++
}

// source returns the number of a source, and adds it if it is new.
func (p *pack) source(name string) int {
	if i := slices.Index(p.sources, name); i >= 0 {
		return i
	}
	p.sources = append(p.sources, name)
	return len(p.sources) - 1
}

// appendTo unpacks all samples in the order in which they were added.
func (p *pack) appendTo(out []Sample) []Sample {
	out = slices.Grow(out, p.n)
	var e entry
	for _, b := range p.blocks {
		next := func() int64 {
			v, n := binary.Varint(b)
			b = b[n:]
			return v
		}
		for len(b) > 0 {
			flags := b[0]
			b = b[1:]
			e.step += next()
			e.mono += e.step
			s := Sample{MonoNS: e.mono, Device: p.device}
			if flags&packFloat != 0 {
				s.Power = unit.Watts(math.Float64frombits(binary.LittleEndian.Uint64(b)))
				b = b[8:]
			} else {
				e.milliwatts += next()
				s.Power = unit.Watts(float64(e.milliwatts) / 1000)
			}
			if flags&packOffset != 0 {
				e.offset += next()
			}
			if flags&packSource != 0 {
				e.source = int(next())
			}
			if flags&packWindow != 0 {
				e.window = next()
			}
			if flags&packSince != 0 {
				s.SinceNS = e.mono - next()
			}
			s.UnixNS, s.Source, s.Window = e.mono+e.offset, p.sources[e.source], time.Duration(e.window)
			out = append(out, s)
		}
	}
	return out
}

// bytes returns the memory that the samples take.
func (p *pack) bytes() int64 { return int64(len(p.blocks)) * packBlock }
