// Package browser opens reports in Chromium, as a reader would. It is a module of its own, so that the program does not
// depend on a driver of browsers. testdata/browser/check.sh makes the pages and runs the tests.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// pages is the folder with the reports: simulated.html, gallery.html, hostile.html, large.html, readings.html.
func pages(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LLEM_TEST_PAGES")
	if dir == "" {
		t.Skip("LLEM_TEST_PAGES is not set: NO PAGE IS OPENED IN A BROWSER; run testdata/browser/check.sh")
	}
	return dir
}

// tab is a page in the browser, with everything that must not happen in it.
type tab struct {
	*testing.T
	ctx  context.Context
	mu   sync.Mutex
	bad  []string
	file string
}

// open opens a page from disk. Its requests, errors and violations of the policy fail the test at its end.
func open(t *testing.T, name string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := &tab{T: t, file: "file://" + (&url.URL{Path: filepath.Join(pages(t), name)}).EscapedPath()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true))
	t.Cleanup(cancel)
	p.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	err := chromedp.Listen(p.ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.URL != p.file {
				p.bad = append(p.bad, "request: "+e.Request.URL)
			}
		case *log.EventEntryAdded:
			p.bad = append(p.bad, "log: "+e.Entry.Text)
		case *runtime.EventExceptionThrown:
			p.bad = append(p.bad, "exception: "+e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			p.bad = append(p.bad, fmt.Sprint("console: ", e.Type))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, b := range p.bad {
			t.Error(b)
		}
	})
	if _, err := chromedp.Call(p.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	p.do(append(append([]chromedp.Action[chromedp.Void]{chromedp.EmulateViewport(1100, 900)}, before...),
		chromedp.Navigate(p.file))...)
	return p
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.Fatal(err)
	}
}

// read evaluates an expression, waiting for a promise.
func read[T any](p *tab, expression string) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// frames waits until what was asked for is drawn.
func (p *tab) frames() {
	p.Helper()
	read[bool](p, `new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(() => ok(true))))`)
}

// loaded waits until the power of the first run is unpacked.
func (p *tab) loaded() {
	p.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Poll[bool](
		`document.getElementById("canvas").width !== 300 && document.getElementById("run").length > 0`)); err != nil {
		p.Fatal(err)
	}
	p.frames()
}

func TestTable(t *testing.T) {
	for _, name := range []string{"simulated.html", "gallery.html"} {
		t.Run(name, func(t *testing.T) {
			p := open(t, name)
			const column = `[...document.querySelectorAll("#table thead th")].findIndex((h) => ` +
				`h.textContent.includes("J/out"))`
			order := func() []float64 {
				return read[[]float64](p,
					`[...document.querySelectorAll("#table tbody tr")].map((r) => Number(r.cells[`+
						column+`].dataset.v))`)
			}
			read[bool](p, `(document.querySelectorAll("#table thead button")[`+column+`].click(), true)`)
			if got := order(); len(got) < 2 || !sort.Float64sAreSorted(got) {
				t.Errorf("after one click: %v", got)
			}
			read[bool](p, `(document.querySelectorAll("#table thead button")[`+column+`].click(), true)`)
			if got := order(); len(got) < 2 || !sort.IsSorted(sort.Reverse(sort.Float64Slice(got))) {
				t.Errorf("after two clicks: %v", got)
			}
			all := len(order())
			// A word that some rows have, and not all: measured numbers and IDs may hold any digits.
			word := read[string](p, `(() => {
				const texts = [...document.querySelectorAll("#table tbody tr")].map((r) => r.textContent.toLowerCase());
				return texts.flatMap((t) => t.split(/\s+/)).find((w) => w && !texts.every((t) => t.includes(w))) || "";
			})()`)
			p.do(chromedp.SendKeys(chromedp.ID("filter"), word))
			shown := read[int](p, `document.querySelectorAll("#table tbody tr:not([hidden])").length`)
			if text := read[string](p, `document.getElementById("shown").textContent`); shown >= all ||
				!strings.HasPrefix(text, fmt.Sprintf("%d of %d ", shown, all)) {
				t.Errorf("%d of %d rows after the filter; the page says %q", shown, all, text)
			}
		})
	}
}

// choose sets a control as a reader would.
func (p *tab) choose(id, value string) {
	p.Helper()
	if !read[bool](p, fmt.Sprintf(`(() => { const e = document.getElementById(%q); e.value = %q;
		e.dispatchEvent(new Event("input", {bubbles: true})); return e.value === %[2]q; })()`, id, value)) {
		p.Fatalf("%s cannot be set to %s", id, value)
	}
}

func TestTwoMetrics(t *testing.T) {
	p := open(t, "gallery.html")
	p.choose("px", "latency.ttft_ms.p50")
	p.choose("py", "throughput.output_tokens_per_s")
	title := read[string](p, `document.querySelector("#pareto-figure svg title").textContent`)
	if !strings.Contains(title, "output tokens per second over TTFT, median") {
		t.Errorf("the chart is %q", title)
	}
	free := read[string](p, `document.getElementById("best").textContent`)
	p.choose("limit-metric", "latency.ttft_ms.p50")
	p.choose("limit", "300")
	bound := read[string](p, `document.getElementById("best").textContent`)
	if free == bound || !strings.Contains(bound, "configurations meet the limit. Best") ||
		!strings.Contains(read[string](p, `document.getElementById("limit-text").textContent`), "at most") {
		t.Errorf("without a limit %q, with one %q", free, bound)
	}
}

func TestZoom(t *testing.T) {
	p := open(t, "gallery.html")
	p.loaded()
	last := ""
	changed := func(by string) {
		t.Helper()
		p.frames()
		now := read[string](p, `document.getElementById("canvas").toDataURL()`)
		if now == last {
			t.Errorf("%s: the picture is the same", by)
		}
		last = now
	}
	changed("open")
	p.do(chromedp.Click(chromedp.ID("in")))
	changed("button")
	read[bool](p, `(document.getElementById("canvas").focus(), true)`)
	p.do(chromedp.KeyEvent("+"))
	changed("key +")
	p.do(chromedp.KeyEvent("-"))
	changed("key -")
	read[bool](p, `(document.getElementById("canvas").scrollIntoView({block: "center"}), true)`)
	at := read[[]float64](p, `(() => { const r = document.getElementById("canvas").getBoundingClientRect();
		return [r.x + r.width / 3, r.y + r.height / 2]; })()`)
	p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
	if text := read[string](p, `document.getElementById("readout").textContent`); !strings.Contains(text, "W") {
		t.Errorf("under the pointer: %q", text)
	}
	if _, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
		Type: input.DispatchMouseEventTypeMouseWheel, X: at[0], Y: at[1], DeltaX: 1, DeltaY: -100}); err != nil {
		t.Fatal(err)
	}
	changed("wheel")
	p.do(chromedp.Click(chromedp.ID("all")))
	changed("whole window")
}

// TestFacets chooses values of the keys that vary with the keyboard: the tables and the chart follow.
func TestFacets(t *testing.T) {
	p := open(t, "gallery.html")
	press := func(label string) {
		t.Helper()
		if !read[bool](p, fmt.Sprintf(`(() => { const b = [...document.querySelectorAll("#facets button.chip")]
			.find((b) => b.textContent.startsWith(%q)); b.focus(); return document.activeElement === b; })()`,
			label+" ")) {
			t.Fatalf("%s cannot be focused", label)
		}
		p.do(chromedp.KeyEvent(" "))
	}
	shown := func() [3]int {
		return [3]int{read[int](p, `document.querySelectorAll("#table tbody tr:not([hidden])").length`),
			read[int](p, `document.querySelectorAll("#joules tbody:not([hidden])").length`),
			read[int](p, `document.querySelectorAll("#times tbody:not([hidden])").length`)}
	}
	all := shown()
	press("float32")
	if got := shown(); got != [3]int{3, 3, 3} || all != [3]int{8, 8, 8} {
		t.Errorf("rows before %v, after float32 %v", all, got)
	}
	if text := read[string](p, `document.getElementById("best").textContent`); !strings.HasPrefix(text,
		"3 of 8 configurations are chosen. Best energy per output token: float32 batch_size=32") {
		t.Errorf("the chart says %q", text)
	}
	if !read[bool](p, `document.activeElement.getAttribute("aria-pressed") === "true"`) {
		t.Error("the button is not marked as pressed")
	}
	press("32")
	press("8")
	if got := shown(); got[0] != 2 {
		t.Errorf("float32 with batch size 8 or 32: %d rows", got[0])
	}
	read[bool](p, `(() => { [...document.querySelectorAll("button.chip")]
		.find((b) => b.textContent === "Show all").click(); return true; })()`)
	if got := shown(); got != all {
		t.Errorf("after Show all: %v", got)
	}
}

// TestTelemetry reads temperature, clock and marks below the power.
func TestTelemetry(t *testing.T) {
	p := open(t, "readings.html")
	p.loaded()
	if high := read[int](p, `document.getElementById("canvas").clientHeight`); high < 380 {
		t.Errorf("the canvas is %d px high: there is no room for temperature and clock", high)
	}
	hover := func() string {
		at := read[[]float64](p, `(() => { const c = document.getElementById("canvas");
			c.scrollIntoView({block: "center"});
			const r = c.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`)
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
		return read[string](p, `document.getElementById("readout").textContent`)
	}
	for _, want := range []string{" W", "temperature 5", "clock 19"} {
		if text := hover(); !strings.Contains(text, want) {
			t.Errorf("under the pointer: %q, want %q", text, want)
		}
	}
	if text := read[string](p, `document.getElementById("others").textContent`); !strings.Contains(text, "host_busy") ||
		!strings.Contains(text, "True of the whole run") {
		t.Errorf("without a time: %q", text)
	}
	read[bool](p, `(() => { [...document.querySelectorAll("#marks button")]
		.find((b) => b.textContent.startsWith("series_gaps")).click(); return true; })()`)
	p.frames()
	if text := hover(); !strings.Contains(text, "series_gaps: gpu0") {
		t.Errorf("in the middle of a mark that was chosen: %q", text)
	}
}

// TestLargeStudy draws many configurations with few elements, and tells what the page leaves out.
func TestLargeStudy(t *testing.T) {
	p := open(t, "large.html")
	if n := read[int](p, `document.querySelectorAll("#pareto-figure svg *").length`); n < 20 || n > 500 {
		t.Errorf("the chart of 20,000 configurations has %d elements", n)
	}
	if n := read[int](p, `document.querySelectorAll("#facets select option").length`); n < 500 {
		t.Errorf("%d values can be chosen from", n)
	}
	text := read[string](p, `document.body.textContent`)
	for _, want := range []string{"2000 of 33334 configurations", "The first 100 configurations"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
}

// TestJoules finds gross and net energy with intervals in the table, and the reason of what is missing.
func TestJoules(t *testing.T) {
	p := open(t, "gallery.html")
	text := read[string](p, `document.querySelector("#joules").innerText.replace(/\s+/g, " ")`)
	for _, want := range []string{"prefill decode other, between steps not attributed total, gross net of bare idle",
		"measured: total by nvml.energy, phases by nvml.samples", "output token", "request", "± ", "bounds ",
		"no meter of the machine or its processors"} {
		if !strings.Contains(text, want) {
			t.Errorf("the section does not hold %q", want)
		}
	}
	times := read[string](p, `document.querySelector("#times").innerText.replace(/\s+/g, " ")`)
	for _, want := range []string{"TTFT TPOT ITL", "p50 p90 p99", "too few values", "Energy of each request"} {
		if !strings.Contains(times, want) {
			t.Errorf("the times do not hold %q", want)
		}
	}
	if n := read[int](p, `document.querySelectorAll("#times svg").length`); n != 4 {
		t.Errorf("%d distributions, want TTFT, TPOT, ITL and energy", n)
	}
	how := read[string](p, `document.querySelector("#how").textContent`)
	for _, want := range []string{"NVIDIA H200", "Not run:", "llem doctor", "study.yaml", "--recompute",
		"Study \"llama"} {
		if !strings.Contains(how, want) {
			t.Errorf("the method does not hold %q", want)
		}
	}
}

func media(features ...*emulation.MediaFeature) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return chromedp.Void{}, err
	}
}

func TestDark(t *testing.T) {
	p := open(t, "gallery.html", media(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"}))
	if c := read[string](p, `getComputedStyle(document.body).backgroundColor`); c != "rgb(18, 18, 18)" {
		t.Errorf("the background is %s", c)
	}
}

func TestPrint(t *testing.T) {
	p := open(t, "gallery.html")
	pdf, err := chromedp.Run(p.ctx, chromedp.PrintToPDF())
	if err != nil || !strings.HasPrefix(string(pdf), "%PDF-") || len(pdf) < 20_000 {
		t.Errorf("%d bytes, %v", len(pdf), err)
	}
}

// fits checks that nothing makes the page wider than the window.
func (p *tab) fits(width int64) {
	p.Helper()
	p.do(chromedp.EmulateViewport(width, 800))
	p.frames()
	if got := read[int64](p, `document.documentElement.scrollWidth`); got > width {
		p.Errorf("%d px wide in a window of %d: %s", got, width, read[string](p,
			`[...document.querySelectorAll("body *")]
			.filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll,pre,svg")).slice(0, 5)
			.map((e) => e.tagName + "." + e.className + "#" + e.id).join(" ")`))
	}
}

func TestNarrow(t *testing.T) {
	for _, name := range []string{"simulated.html", "gallery.html", "hostile.html", "readings.html"} {
		t.Run(name, func(t *testing.T) { open(t, name).fits(320) })
	}
}

// TestTablesFit: on the usual width of a laptop no table of a real study is wider than the page.
func TestTablesFit(t *testing.T) {
	p := open(t, "gallery.html")
	p.fits(1200)
	if wide := read[string](p, `[...document.querySelectorAll(".scroll")]
		.filter((e) => e.scrollWidth > e.clientWidth)
		.map((e) => e.firstElementChild.tagName + "#" + e.firstElementChild.id + ": " + e.scrollWidth + " of " +
			e.clientWidth).join(", ")`); wide != "" {
		t.Errorf("wider than the page: %s px", wide)
	}
}

func TestWithoutScript(t *testing.T) {
	off := func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	}
	p := open(t, "gallery.html", off)
	for what, selector := range map[string]string{"table": "#table td", "chart of two metrics": "#pareto svg",
		"chart of phases": "#joules svg", "table of joules": "#joules table td", "distributions": "#times svg",
		"percentiles": "#times table td", "values of the keys": "#facets .chip", "power": "#power svg",
		"method": "#how dl"} {
		if high := read[float64](p,
			fmt.Sprintf(`document.querySelector(%q).getBoundingClientRect().height`, selector)); high < 10 {
			t.Errorf("the %s is not shown", what)
		}
	}
	if read[int](p, `[...document.querySelectorAll(".js")].filter((e) => e.getClientRects().length).length`) != 0 {
		t.Error("controls that do nothing without the script are shown")
	}
}

func TestHostile(t *testing.T) {
	p := open(t, "hostile.html")
	if read[int](p, `document.scripts.length`) != 2 || read[bool](p, `"hacked" in window`) ||
		read[int](p, `document.querySelectorAll("[onload],[onerror],img,iframe").length`) != 0 {
		t.Error("a name became markup")
	}
	p.fits(1100)
	p.fits(320)
}

// axe is the source of axe-core, whose path LLEM_TEST_AXE names.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LLEM_TEST_AXE")
	if path == "" {
		t.Skip("LLEM_TEST_AXE is not set: ACCESSIBILITY IS NOT CHECKED; run testdata/browser/check.sh")
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// accessible runs axe-core on the page.
func (p *tab) accessible(source, name string) {
	p.Helper()
	read[bool](p, source+";true")
	found := read[string](p, `axe.run()
		.then((r) => JSON.stringify(r.violations
		.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => ({id: v.id, help: v.help,
			nodes: v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200))}))))`)
	var list []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		p.Fatal(err)
	}
	for _, v := range list {
		p.Errorf("%s, %s: %s\n%s", name, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
	}
}

func TestAccessible(t *testing.T) {
	source := axe(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, name := range []string{"simulated.html", "gallery.html"} {
			t.Run(name+" "+scheme, func(t *testing.T) {
				p := open(t, name, media(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}))
				p.accessible(source, name)
			})
		}
	}
}
