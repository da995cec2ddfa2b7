package browser

import (
	"os"
	"sort"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// rowsShown are the sort values of a column of the first table that is shown.
const rowsShown = `[...[...document.querySelectorAll("section")].find((s) => !s.hidden).querySelectorAll("tbody tr")]
	.filter((r) => !r.hidden).map((r) => Number(r.cells[3].dataset.v))`

// TestSite opens the leaderboard from disk: it sorts, filters, and applies a limit.
func TestSite(t *testing.T) {
	p := open(t, "site/index.html")
	all := read[int](p, `document.querySelectorAll("tbody tr").length`)
	if first := read[[]float64](p, rowsShown); len(first) < 2 || !sort.Float64sAreSorted(first) {
		t.Errorf("at first %v", first)
	}
	read[bool](p, `(document.querySelector("table th[data-metric=energy]").querySelector("button").click(), true)`)
	if down := read[[]float64](p, rowsShown); !sort.IsSorted(sort.Reverse(sort.Float64Slice(down))) {
		t.Errorf("after a click %v", down)
	}
	sections := read[int](p, `document.querySelectorAll("section").length`)
	p.choose("f-class", "measured-gpu")
	shown := read[[]float64](p, rowsShown)
	if open := read[int](p, `document.querySelectorAll("section:not([hidden])").length`); sections < 2 || open != 1 {
		t.Errorf("%d of %d tables", open, sections)
	}
	p.choose("limit-metric", "energy")
	p.choose("limit", "2")
	limited := read[[]float64](p, rowsShown)
	if len(limited) == 0 || len(limited) >= len(shown) {
		t.Errorf("%d of %d rows within the limit", len(limited), len(shown))
	}
	for _, v := range limited {
		if v > 2 {
			t.Errorf("%v J is above the limit", v)
		}
	}
	p.choose("f-dtype", "float32")
	if n := read[int](p, `document.querySelectorAll("section:not([hidden]) tbody tr:not([hidden])").length`); n != 0 {
		t.Errorf("%d rows of float32 within the limit of %d", n, all)
	}
	if text := read[string](p, `document.getElementById("shown").textContent`); text[:5] != "0 of " {
		t.Errorf("the page says %q", text)
	}
}

// TestSiteLooks: 320 px, dark, accessible, and a hostile title is text.
func TestSiteLooks(t *testing.T) {
	p := open(t, "site/index.html", media(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"}))
	p.fits(320)
	if c := read[string](p, `getComputedStyle(document.body).backgroundColor`); c != "rgb(18, 18, 18)" {
		t.Errorf("the background is %s", c)
	}
	if read[int](p, `document.scripts.length`) != 1 || read[bool](p, `"hacked" in window`) ||
		read[int](p, `document.querySelectorAll("[onload],[onerror],img,iframe").length`) != 0 {
		t.Error("a name became markup")
	}
	if os.Getenv("LLEM_TEST_AXE") != "" {
		p.accessible(axe(t), "site")
	}
}
