package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/metronome"
	"github.com/llenergymeasure/llem/internal/stats"
)

// figures are times in milliseconds.
type figures struct {
	ttft, ttft99, itl float64
	// lag50 and lag99 are how late requests were sent; negative if the tool does not report it.
	lag50, lag99 float64
}

// outcome is a measured tool.
type outcome struct {
	told, true figures
	requests   int
	// cpu is seconds of processor time per million tokens while the requests ran; of llem as well by its own record.
	cpu float64
	// gap50 and gap99 are percentiles of the error of the times between requests with a constant rate; cv is their
	// coefficient of variation, and rate the rate at which they came.
	gap50, gap99, cv, rate float64
	// late is the 99th percentile of how late the stub itself was with first tokens, and lost the number of
	// connections that broke.
	late float64
	lost int
}

// last returns the last n answers in the order of their requests: what a tool sends before is its warm-up.
func last(list []metronome.Answer, n int) []metronome.Answer {
	list = slices.DeleteFunc(slices.Clone(list), func(a metronome.Answer) bool { return len(a.BeforeNS) < 2 })
	slices.SortFunc(list, func(a, b metronome.Answer) int { return int(a.ReceivedNS - b.ReceivedNS) })
	return list[max(0, len(list)-n):]
}

// know computes the truth of an outcome.
func (o *outcome) know(list []metronome.Answer, rate float64) (from, to int64, tokens int) {
	var ttft, itl, late, gaps []float64
	from = math.MaxInt64
	for i, a := range list {
		n := len(a.BeforeNS)
		tokens += n
		ttft = append(ttft, ms(a.BeforeNS[0]-a.ReceivedNS))
		itl = append(itl, ms(a.BeforeNS[n-1]-a.BeforeNS[0])/float64(n-1))
		late = append(late, ms(a.LateNS))
		if i > 0 {
			gaps = append(gaps, ms(a.ReceivedNS-list[i-1].ReceivedNS))
		}
		from, to = min(from, a.ReceivedNS), max(to, a.AfterNS[n-1])
		if a.Lost {
			o.lost++
		}
	}
	o.requests = len(list)
	o.true = figures{ttft: mean(ttft), ttft99: percentile(ttft, 99), itl: mean(itl)}
	o.late = percentile(late, 99)
	if m := mean(gaps); rate > 0 && m > 0 {
		o.cv, o.rate = deviation(gaps)/m, 1e3/m
		for i := range gaps {
			gaps[i] = math.Abs(gaps[i] - 1e3/rate)
		}
		o.gap50, o.gap99 = percentile(gaps, 50), percentile(gaps, 99)
	}
	return from, to, tokens
}

// head prints the head of the table.
func head(open bool) {
	if open {
		fmt.Println("| tool | arrivals | requests | rate | CV of gaps | error of a gap, p50 | p99 | sent late, p50 |" +
			" p99 | TTFT error, mean | CPU s per million |")
		fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
		return
	}
	fmt.Println("| tool | streams | requests | true TTFT | TTFT error, mean | of the p99 | true ITL |" +
		" ITL error, mean | CPU s per million | stub late, p99 |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
}

// row prints an outcome.
func (o outcome) row(name string, l load) {
	cpu := fmt.Sprintf("%.0f", o.cpu)
	if l.rate == 0 {
		fmt.Printf("| %s | %v | %d | %.1f ms | %s | %s | %.2f ms | %s | %s | %s |\n", name, l, o.requests, o.true.ttft,
			signed(o.told.ttft-o.true.ttft), signed(o.told.ttft99-o.true.ttft99), o.true.itl,
			signed(o.told.itl-o.true.itl), cpu, plain(o.late))
		return
	}
	gap50, gap99, lag50, lag99 := "", "", "not reported", ""
	if l.arrivals == "constant" {
		gap50, gap99 = plain(o.gap50), plain(o.gap99)
	}
	if o.told.lag50 >= 0 {
		lag50, lag99 = plain(o.told.lag50), plain(o.told.lag99)
	}
	fmt.Printf("| %s | %v | %d | %.1f/s | %.2f | %s | %s | %s | %s | %s | %s |\n", name, l, o.requests, o.rate, o.cv,
		gap50, gap99, lag50, lag99, signed(o.told.ttft-o.true.ttft), cpu)
}

// signed prints a difference in milliseconds with a suitable number of digits.
func signed(v float64) string {
	switch {
	case math.IsNaN(v):
		return "not reported"
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%+.0f ms", v)
	case math.Abs(v) >= 0.1:
		return fmt.Sprintf("%+.2f ms", v)
	}
	return fmt.Sprintf("%+.1f µs", v*1e3)
}

func plain(v float64) string { return signed(v)[1:] }

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// mean is NaN without values, as percentile is.
func mean(v []float64) float64 { return stats.Mean(v) }

func percentile(v []float64, p float64) float64 {
	s, _ := stats.Summarize(v)
	return s.Percentile(p)
}

func deviation(v []float64) float64 {
	s, _ := stats.Summarize(v)
	return s.SD
}
