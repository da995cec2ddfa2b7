package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// BenchmarkOpen opens the page of 100,000 runs in a browser that is running: from the request to the end of its script.
func BenchmarkOpen(b *testing.B) {
	dir := pages(b)
	ctx, cancel := chromedp.NewExecAllocator(b.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1100, 900)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := chromedp.Do(ctx, chromedp.Navigate("file://"+dir+"/large.html")); err != nil {
			b.Fatal(err)
		}
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](
			`document.readyState === "complete" && document.getElementById("best").textContent !== ""`,
			chromedp.WithPollingInterval(10*time.Millisecond))); err != nil {
			b.Fatal(err)
		}
	}
}
