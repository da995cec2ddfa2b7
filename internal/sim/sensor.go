package sim

import (
	"math"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Streams of randomness, as in nvml/nvml.c.
const (
	ringStamp = 1 + iota
	ringNoise
	instantTime
	instantNoise
	averageTime
	averageNoise
	counterTime
)

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// uniform returns a number in (0, 1) that depends only on its arguments.
func uniform(seed, stream uint64, index int64) float64 {
	bits := mix(mix(seed^mix(stream)) ^ uint64(index))
	return (float64(bits>>11) + 0.5) / (1 << 53)
}

// normal returns a number of the standard normal distribution.
func normal(seed, stream uint64, index int64) float64 {
	u, v := uniform(seed, stream, 2*index), uniform(seed, stream, 2*index+1)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// grid is a sequence of updates: one per period, with jitter.
type grid struct {
	seed, stream           uint64
	origin, period, jitter int64
}

func (s *Sensors) ringGrid(epoch int64) grid {
	return grid{s.Seed, ringStamp, epoch + int64(s.Ring.Phase), int64(s.Ring.Spacing), int64(s.Ring.Jitter)}
}

func (s *Sensors) counterGrid(epoch int64) grid {
	return grid{s.Seed, counterTime, epoch + int64(s.Counter.Phase), int64(s.Counter.Refresh), int64(s.Counter.Jitter)}
}

// at returns the time of update k.
func (g grid) at(k int64) int64 {
	t := g.origin + k*g.period
	if g.jitter != 0 {
		t += int64(math.Floor((2*uniform(g.seed, g.stream, k) - 1) * float64(g.jitter)))
	}
	return t
}

// latest returns the number of the last update at or before now.
func (g grid) latest(now int64) int64 {
	since := now - g.origin
	k := since/g.period + 1
	if since%g.period < 0 {
		k--
	}
	for g.at(k) > now {
		k--
	}
	return k
}

// ringWatts returns the value of entry k of the ring.
func (s *Sensors) ringWatts(c Curve, epoch, k int64) float64 {
	r := s.Ring
	w := c.look(s.ringGrid(epoch).at(k)-int64(r.Lag), int64(r.Window), int64(r.Filter)) * (1 + r.Gain)
	if r.Noise > 0 {
		w *= 1 + r.Noise*normal(s.Seed, ringNoise, k)
	}
	return max(w, 0)
}

// counted returns the value of the counter at update k, in joules.
func (s *Sensors) counted(c Curve, epoch, k int64) float64 {
	g, e := s.counterGrid(epoch), 0.0
	if s.Counter.PartTime == 0 {
		e = c.until(g.at(k) - int64(s.Counter.Lag))
	} else {
		for i := int64(1); i <= k; i++ {
			e += c.mean(g.at(i)-int64(s.Counter.Lag), int64(s.Counter.PartTime)) * digits.Seconds(g.at(i)-g.at(i-1))
		}
	}
	return s.Counter.Origin + e*(1+s.Counter.Gain)
}
