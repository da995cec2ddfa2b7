package browser

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// BenchmarkFrames zooms and moves 100,000 readings, on the canvas of the report and on uPlot, whose script
// LLEM_TEST_UPLOT names: both have the same readings, size and views, one after the other in the same page. A frame
// lasts from the change of the view until a pixel of it can be read, so that drawing is part of it.
func BenchmarkFrames(b *testing.B) {
	dir, uplot := pages(b), os.Getenv("LLEM_TEST_UPLOT")
	if uplot == "" {
		b.Skip("LLEM_TEST_UPLOT is not set: NO FRAME IS TIMED; run bench/page/run.sh")
	}
	source, err := os.ReadFile(uplot)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := chromedp.NewExecAllocator(b.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900),
		chromedp.Navigate("file://"+dir+"/readings.html")); err != nil {
		b.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](
		`document.getElementById("canvas").width !== 300 && document.getElementById("run").length > 0`)); err != nil {
		b.Fatal(err)
	}
	script := string(source) + ";window.uPlot = uPlot;" + prepare + ";true"
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err != nil {
		b.Fatal(err)
	}
	var sums struct{ Ours, Uplot, Frames, Points float64 }
	for b.Loop() {
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("frames()", chromedp.EvalAwaitPromise))
		if err != nil {
			b.Fatal(err)
		}
		var one struct{ Ours, Uplot, Frames, Points float64 }
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			b.Fatal(err)
		}
		sums.Ours, sums.Uplot, sums.Frames = sums.Ours+one.Ours, sums.Uplot+one.Uplot, sums.Frames+one.Frames
		sums.Points = one.Points
	}
	b.ReportMetric(sums.Ours/sums.Frames, "ours-ms/frame")
	b.ReportMetric(sums.Uplot/sums.Frames, "uplot-ms/frame")
	b.ReportMetric(sums.Uplot/sums.Ours, "uplot/ours")
	b.ReportMetric(sums.Points, "readings")
	b.ReportMetric(0, "ns/op")
}

// prepare defines frames, which times the frames of both and returns the sums in ms.
const prepare = `
window.frames = async () => {
  const canvas = document.getElementById("canvas");
  canvas.scrollIntoView({block: "center"});
  const run = JSON.parse(document.getElementById("data").textContent).runs[0];
  const bytes = Uint8Array.from(atob(run.data), (c) => c.charCodeAt(0));
  const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(unzipped).arrayBuffer();
  const ints = new Int32Array(buffer), n = ints.length / 2, t = new Float64Array(n), w = new Float64Array(n);
  for (let i = 0, a = 0, b = 0; i < n; i++) { a += ints[i]; b += ints[n + i]; t[i] = a / 1e6; w[i] = b / 1e3; }
  const place = document.createElement("div");
  document.body.append(place);
  const u = new uPlot({width: canvas.clientWidth, height: canvas.clientHeight, legend: {show: false},
    cursor: {show: false}, scales: {x: {time: false}},
    series: [{}, {stroke: "black", width: 1, points: {show: false}}]}, [t, w], place);
  let from = t[0], to = t[n - 1], queued = null, ours = 0, uplot = 0, count = 0;
  const later = window.requestAnimationFrame;
  window.requestAnimationFrame = (f) => { queued = f; return 0; };
  const pixel = (c) => c.getContext("2d").getImageData(c.width >> 1, c.height >> 1, 1, 1).data[3];
  const frame = async (change, a, b) => {
    from = a; to = b;
    const t0 = performance.now();
    change();
    await null;
    if (queued) queued();
    queued = null;
    pixel(canvas);
    const t1 = performance.now();
    u.setScale("x", {min: a, max: b});
    await null;
    pixel(u.ctx.canvas);
    const t2 = performance.now();
    ours += t1 - t0; uplot += t2 - t1; count++;
  };
  const key = (k) => () => canvas.dispatchEvent(new KeyboardEvent("keydown", {key: k}));
  const zoom = (f) => { const at = (from + to) / 2; return [at - (at - from) * f, at + (to - at) * f]; };
  for (let round = 0; round < 10; round++) {
    const whole = [t[0], t[n - 1]];
    await frame(() => document.getElementById("all").click(), ...whole);
    for (let i = 0; i < 10; i++) {
      await frame(key("+"), ...zoom(0.5));
      if (i < 4) for (const k of ["ArrowRight", "ArrowRight", "ArrowLeft"]) {
        const d = (to - from) / 5 * (k === "ArrowLeft" ? -1 : 1);
        await frame(key(k), from + d, to + d);
      }
    }
    const inside = (v) => Math.min(whole[1], Math.max(whole[0], v));
    for (let i = 0; i < 10; i++) await frame(key("-"), ...zoom(2).map(inside));
  }
  window.requestAnimationFrame = later;
  u.destroy();
  place.remove();
  return JSON.stringify({Ours: ours, Uplot: uplot, Frames: count, Points: n});
};`
