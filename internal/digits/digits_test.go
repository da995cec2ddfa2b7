package digits

import (
	"math"
	"testing"
	"time"
)

func TestSI(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "J", "0 J"},
		{1, "J", "1.00 J"},
		{999.4, "J", "999 J"},
		{999.6, "J", "1.00 kJ"},
		{1234, "J", "1.23 kJ"},
		{0.0951, "J", "95.1 mJ"},
		{0.99951, "J", "1.00 J"},
		{-2500, "W", "−2.50 kW"},
		{3.2e12, "FLOP", "3.20 TFLOP"},
		{4e-12, "J", "0.00400 nJ"},
		{math.NaN(), "J", "n/a J"},
	} {
		if got := SI(c.v, c.unit); got != c.want {
			t.Errorf("SI(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestWithin(t *testing.T) {
	for want, c := range map[string][2]float64{
		"1.10 ± 0.39 kJ": {1100, 390}, "−0.0500 ± 2.0 J": {-0.05, 2}, "12.3 ± 0.10 mJ": {0.0123, 0.0001},
	} {
		if got := Within(c[0], c[1], "J"); got != want {
			t.Errorf("%v: %q, want %q", c, got, want)
		}
	}
}

func TestSignificant(t *testing.T) {
	for _, c := range []struct {
		v    float64
		n    int
		want string
	}{
		{9.996, 3, "10.0"},
		{0.09996, 3, "0.100"},
		{1234.4, 3, "1234"},
		{5, 3, "5.00"},
		{12.345, 3, "12.3"},
	} {
		if got := Significant(c.v, c.n); got != c.want {
			t.Errorf("Significant(%v, %d) = %q, want %q", c.v, c.n, got, c.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for b, want := range map[Bytes]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1536 << 20: "1.50 GiB", -2048: "−2.00 KiB",
		1<<20 - 1: "1.00 MiB", 1023 << 10: "1023 KiB",
	} {
		if got := b.String(); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", int64(b), got, want)
		}
	}
}

func TestCount(t *testing.T) {
	if got := Count(1, "run") + ", " + Count(0, "run") + ", " + Count(2, "run"); got != "1 run, 0 runs, 2 runs" {
		t.Error(got)
	}
}

func TestSeconds(t *testing.T) {
	if s, d := Seconds(1_500_000_000), Duration(1.5); s != 1.5 || d != 1500*time.Millisecond {
		t.Errorf("%v s, %v", s, d)
	}
}
