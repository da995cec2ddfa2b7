package browser

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// docs is the address of the folder of the documents' site.
func docs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LLEM_TEST_DOCS")
	if dir == "" {
		t.Skip("LLEM_TEST_DOCS is not set: NO DOCUMENT IS OPENED IN A BROWSER; run testdata/browser/docs.sh")
	}
	return "file://" + (&url.URL{Path: filepath.Clean(dir)}).EscapedPath() + "/"
}

// watched notes each request of a tab that leaves the folder or fails.
func (p *tab) watched(site string) {
	p.Helper()
	if _, err := chromedp.Call(p.ctx, network.Enable, network.EnableParams{}); err != nil {
		p.Fatal(err)
	}
	err := chromedp.Listen(p.ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, site) && !strings.HasPrefix(u, "data:") &&
				!strings.HasPrefix(u, "about:") {
				p.bad = append(p.bad, "request: "+u)
			}
		case *network.EventLoadingFailed:
			p.bad = append(p.bad, "failed: "+e.ErrorText)
		}
	})
	if err != nil {
		p.Fatal(err)
	}
}

// TestDocsPages opens each page from its folder: it loads nothing from elsewhere, fits a phone, and all of its links,
// pictures and anchors exist.
func TestDocsPages(t *testing.T) {
	site := docs(t)
	root, err := url.PathUnescape(strings.TrimPrefix(site, "file://"))
	if err != nil {
		t.Fatal(err)
	}
	var files, pages []string
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, file)
		files = append(files, name)
		if text, err := os.ReadFile(file); err == nil && strings.HasSuffix(name, ".html") && name != "404.html" &&
			strings.Contains(string(text), "mkdocs") {
			pages = append(pages, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 20 {
		t.Fatalf("%d pages", len(pages))
	}
	p := visit(t, "about:blank")
	p.watched(site)
	anchors, links := map[string][]string{}, map[string][]string{}
	for _, page := range pages {
		p.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(site+page))
		anchors[page] = read[[]string](p, `[...document.querySelectorAll("[id]")].map((e) => e.id)`)
		links[page] = read[[]string](p,
			`[...document.querySelectorAll("a[href], img[src]")].map((e) => e.href || e.src)`)
		p.fits(380)
		if h := read[int](p, `document.querySelectorAll("h1").length`); h != 1 {
			t.Errorf("%s has %d titles", page, h)
		}
	}
	for _, page := range pages {
		for _, link := range links[page] {
			u, err := url.Parse(link)
			file, within := strings.CutPrefix(link, site)
			file, _, _ = strings.Cut(file, "#")
			switch {
			case err != nil || !within && u.Scheme != "https":
				t.Errorf("%s: %s leads out of the site: %v", page, link, err)
			case within && !slices.Contains(files, file):
				t.Errorf("%s: %s is not there", page, link)
			case within && u.Fragment != "" && !slices.Contains(anchors[file], u.Fragment):
				t.Errorf("%s: %s has no such anchor", page, link)
			}
		}
	}
}

// TestDocsSearch: the search works from the folder, and leads to the page.
func TestDocsSearch(t *testing.T) {
	site := docs(t)
	p := visit(t, "about:blank")
	p.watched(site)
	p.do(chromedp.Navigate(site + "docs/tutorial.html"))
	p.until("the search is ready", `document.querySelector("[data-md-component=search-query]") !== null`,
		20*time.Second)
	read[bool](p, `(() => { const q = document.querySelector("[data-md-component=search-query]")
		document.querySelector("[data-md-toggle=search]").click()
		q.value = "RAPL permission"; q.focus()
		q.dispatchEvent(new Event("input", {bubbles: true})); q.dispatchEvent(new Event("keyup", {bubbles: true}))
		return true })()`)
	const results = `[...document.querySelectorAll(".md-search-result__link")].map((e) => e.href)`
	p.until("results of the search", results+`.length > 0`, 20*time.Second)
	found := read[[]string](p, results)
	if !strings.Contains(found[0], "docs/power.html") {
		t.Errorf("found %v, want docs/power.html first", found)
	}
}

// TestDocsDark: the site follows the system; charts, which have dark lines on no ground, stay on white.
func TestDocsDark(t *testing.T) {
	site := docs(t)
	for _, test := range []struct{ scheme, color string }{{"light", "default"}, {"dark", "slate"}} {
		p := visit(t, site+"docs/gallery/index.html",
			media(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: test.scheme}))
		if got := read[string](p, `document.body.dataset.mdColorScheme`); got != test.color {
			t.Errorf("%s: the colours are %s, want %s", test.scheme, got, test.color)
		}
		const ground = `getComputedStyle(document.querySelector(".md-content img[src$='.svg']")).backgroundColor`
		if got := read[string](p, ground); test.scheme == "dark" && got != "rgb(255, 255, 255)" {
			t.Errorf("the ground of charts is %s", got)
		}
	}
}
