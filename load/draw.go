package load

import (
	"math"
	"math/rand/v2"
)

// source draws numbers. Unlike the methods of rand.Rand, its rules are our own, so that a seed keeps its meaning.
type source struct{ pcg *rand.PCG }

func newSource(seed uint64) source {
	const arrivals = 0x6172726976616c73 // the stream, so that prompts of the same seed are independent of it
	return source{rand.NewPCG(seed, arrivals)}
}

// uniform returns a number between 0 and 1, never one of the two.
func (s source) uniform() float64 { return (float64(s.pcg.Uint64()>>12) + 0.5) / (1 << 52) }

// exponential returns a number with mean 1.
func (s source) exponential() float64 { return -math.Log(s.uniform()) }

// normal returns a number with mean 0 and variance 1, by the method of Box and Muller.
func (s source) normal() float64 {
	r := math.Sqrt(2 * s.exponential())
	return r * math.Cos(2*math.Pi*s.uniform())
}

// gamma returns a number of the gamma distribution with this shape and scale 1, by the method of Marsaglia and Tsang
// (ACM Transactions on Mathematical Software 26, 2000); for a shape below 1 with their boost.
func (s source) gamma(shape float64) float64 {
	if shape < 1 {
		return s.gamma(shape+1) * math.Pow(s.uniform(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := s.normal()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(s.uniform()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
