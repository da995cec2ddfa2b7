package blur

import "math"

// Below these values, in ns, a window or a filter has no measurable effect.
const (
	MinFilter = 2e5
	minWindow = 5e5
)

// Sight computes the response of a sensor to a basis for many kernels: a search tries hundreds. It caches what they
// have in common.
type Sight struct {
	basis   *Basis
	filters map[float64]filter // by their time constant in ns
	flat    []float64
	rows    [][]float64

	// The kernel in use: first·A − second·B with a filter A, and with another one, B, in series with it.
	filter, rise  filter
	filtered      bool
	first, second float64
	other         []float64 // the response of B
	from, to      int       // the pieces in which the window of the last row begins and ends
}

// NewSight returns a view on a basis.
func NewSight(b *Basis) *Sight {
	return &Sight{basis: b, filters: map[float64]filter{}, other: make([]float64, b.columns)}
}

// Rows returns room for n responses; it is valid until the next call.
func (s *Sight) Rows(n int) [][]float64 {
	p := s.basis.columns
	if len(s.rows) != n {
		s.flat, s.rows = make([]float64, p*n), make([][]float64, n)
		for i := range s.rows {
			s.rows[i] = s.flat[i*p : (i+1)*p]
		}
	}
	return s.rows
}

// Through sets the low-pass filters between the power and the sensor's window by their time constants in ns: the
// sensor's own, and how the power follows the load. Below [MinFilter] there is none.
func (s *Sight) Through(own, rise float64) {
	s.from, s.to, s.second = 0, 0, 0
	if s.filtered = own >= MinFilter; !s.filtered {
		return
	}
	if rise < MinFilter {
		s.filter = s.filterOf(own)
		return
	}
	if math.Abs(rise-own) < MinFilter { // two equal ones are the limit of nearly equal ones with the same sum
		middle := (own + rise) / 2
		own, rise = middle+MinFilter/2, middle-MinFilter/2
	}
	s.filter, s.rise = s.filterOf(own), s.filterOf(rise)
	s.first, s.second = own/(own-rise), rise/(own-rise) // partial fractions of 1/(1+s·own)/(1+s·rise)
}

func (s *Sight) filterOf(tau float64) filter {
	f, ok := s.filters[tau]
	if !ok {
		f = newFilter(s.basis, tau)
		s.filters[tau] = f
	}
	return f
}

// Row writes the response of every column: the mean over the window, in ns, before an instant. Rows in the order of
// time are fastest.
//
//go:norace
func (s *Sight) Row(to int64, window float64, row []float64) {
	if !s.filtered {
		window = max(minWindow, window)
	}
	from := to - int64(window)
	s.from, s.to = s.basis.piece(from, s.from), s.basis.piece(to, s.to)
	if !s.filtered {
		s.basis.mean(from, to, s.from, s.to, row)
		return
	}
	s.look(s.filter, from, to, window, row)
	if s.second == 0 {
		return
	}
	s.look(s.rise, from, to, window, s.other)
	for c, v := range s.other {
		row[c] = s.first*row[c] - s.second*v
	}
}

//go:norace
func (s *Sight) look(f filter, from, to int64, window float64, row []float64) {
	if window < minWindow {
		f.value(to, s.to, row)
		return
	}
	f.mean(from, to, s.from, s.to, row)
}
