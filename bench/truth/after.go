package main

import (
	"fmt"
	"math"
)

// lateness is the average delay of the ring's entries after the power, in nanoseconds.
const lateness = 16e6

// afterBurst prints the power of decode steps by the time since their prefill ended, compared with decode
// alone: if a prefill reached the power limit, the steps after it differ from other decode steps.
func (r *recording) afterBurst() {
	fmt.Println("\nPower of decode by the time since the prefill (W, by the ring):")
	fmt.Println("\n| batch, prompt, output | decode alone | 40–120 ms | 120–200 ms | 200–280 ms " +
		"|\n|---|---|---|---|---|")
	seen := map[[3]int64]bool{}
	for _, w := range r.Windows {
		if seen[w.Config] || w.Kind != "mixed" {
			continue
		}
		seen[w.Config] = true
		alone, cells := r.powerBetween(w.Config, "decode", math.MinInt64, math.MaxInt64), ""
		for from := int64(40); from < 280; from += 80 {
			cells += " " + r.powerBetween(w.Config, "mixed", from*1e6, (from+80)*1e6) + " |"
		}
		fmt.Printf("| %d, %d, %d | %s |%s\n", w.Config[0], w.Config[1], w.Config[2], alone, cells)
	}
}

// powerBetween returns the mean power and its standard error in decode steps within an interval after the
// last prefill of their window; windows without a prefill count as a whole.
func (r *recording) powerBetween(config [3]int64, kind string, from, to int64) string {
	var n, sum, squares float64
	for _, w := range r.Windows {
		if w.Config != config || w.Kind != kind {
			continue
		}
		for _, s := range w.Steps {
			if s[2] > 0 {
				continue
			}
			prefilled := w.lastPrefill(s[0])
			for _, e := range r.Ring {
				at := e[0] - lateness
				if at < s[0] || at >= s[1] || kind == "mixed" && (at-prefilled < from || at-prefilled >= to) {
					continue
				}
				p := float64(e[1]) / 1e3
				n, sum, squares = n+1, sum+p, squares+p*p
			}
		}
	}
	if n < 2 {
		return "–"
	}
	mean := sum / n
	return fmt.Sprintf("%.0f ± %.0f", mean, math.Sqrt(max(0, squares/n-mean*mean)/(n-1)))
}

// lastPrefill returns the end of the last prefill before an instant.
func (w window) lastPrefill(at int64) int64 {
	var end int64
	for _, s := range w.Steps {
		if s[2] > 0 && s[1] <= at {
			end = s[1]
		}
	}
	return end
}
