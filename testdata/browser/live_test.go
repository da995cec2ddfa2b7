package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// program is the path of llem.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LLEM_TEST_LLEM")
	if path == "" {
		t.Skip("LLEM_TEST_LLEM is not set: NO STUDY IS FOLLOWED IN A BROWSER; run testdata/browser/check.sh")
	}
	return path
}

// start starts llem; it is killed at the end of the test.
func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t), args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// serve serves a folder and returns when it does.
func serve(t *testing.T, dir, address string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t), "serve", dir, "--listen", address)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "http://") {
		t.Fatalf("the server prints %q, %v", line, err)
	}
	return cmd
}

// freeAddress is an address on which a server can listen twice, one after the other.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// visit opens a page of a server. Exceptions and violations of its policy fail the test.
func visit(t *testing.T, url string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := &tab{T: t}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
		case *log.EventEntryAdded:
			if strings.Contains(e.Entry.Text, "Content Security Policy") {
				p.bad = append(p.bad, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			p.bad = append(p.bad, "exception: "+e.ExceptionDetails.Text)
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
	p.do(append(append([]chromedp.Action[chromedp.Void]{chromedp.EmulateViewport(1280, 900)}, before...),
		chromedp.Navigate(url))...)
	return p
}

// until waits until an expression is true.
func (p *tab) until(what, expression string, within time.Duration) {
	p.Helper()
	for end := time.Now().Add(within); !read[bool](p, expression); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("%s: not within %v; the page is\n%s", what, within, read[string](p, `document.body.innerText`))
		}
	}
}

const (
	stateText = `document.getElementById("state").textContent`
	linkText  = `document.getElementById("link").textContent`
)

// study finds the page of the only study.
func study(t *testing.T, address string) *tab {
	t.Helper()
	p := visit(t, "http://"+address+"/")
	p.until("the study", `document.querySelectorAll("tbody a").length > 0 || (location.reload(), false)`,
		20*time.Second)
	p.do(chromedp.Navigate(read[string](p, `document.querySelector("tbody a").href`)))
	return p
}

// TestLive follows a study on the simulated GPU from its first run to its end, over a connection that is cut.
func TestLive(t *testing.T) {
	dir := t.TempDir()
	run := start(t, "run", "-b", "fake", "-m", "random:llama-3.1-8b", "-n", "16", "--input-tokens", "32",
		"--output-tokens",
		"64", "--batch-size", "4,8", "--cycles", "3", "--no-gaps", "-s", "baseline.seconds=1", "-s",
		"baseline.resident_seconds=1", "-q", "-o", dir)
	address := freeAddress(t)
	server := serve(t, dir, address)
	p := study(t, address)
	p.until("the study runs", stateText+`.startsWith("Running: ")`, 10*time.Second)
	p.until("power of the device",
		`[...document.querySelectorAll("#workers td")].some((e) => /^\d+ W$/.test(e.textContent))`,
		20*time.Second)
	p.until("the device is simulated", `document.getElementById("workers").textContent.includes("gpu0 (simulated)")`,
		time.Second)
	p.until("a window", `document.querySelector("#workers [aria-current=step]")?.textContent === "window"`,
		30*time.Second)
	p.until("a run", `document.querySelectorAll("#runs tr").length > 0`, 60*time.Second)

	_ = server.Process.Kill()
	_ = server.Wait()
	p.until("the cut is told", linkText+`.startsWith("Connection lost, retrying")`, 20*time.Second)
	p.until("old numbers look old", `document.body.classList.contains("lost")`, time.Second)
	time.Sleep(3 * time.Second)
	serve(t, dir, address)
	p.until("connected again", linkText+` === "" && !document.body.classList.contains("lost")`, 30*time.Second)

	p.until("the end", stateText+` === "All runs have finished."`, 90*time.Second)
	if err := run.Wait(); err != nil {
		t.Error(err)
	}
	got := read[[]string](p, `[...document.querySelectorAll("#runs tr")].map((r) => r.cells[0].textContent)`)
	if strings.Join(got, " ") != "6 5 4 3 2 1" {
		t.Errorf("runs %v, each once, the newest first", got)
	}
	if n := read[int](p, `document.querySelectorAll("#intervals svg.whiskers").length`); n != 2 {
		t.Errorf("%d charts of intervals", n)
	}
	p.do(chromedp.Navigate(read[string](p, `document.querySelector("#runs a").href`)))
	if n := read[int](p, `document.querySelectorAll("h2").length`); n < 5 {
		t.Errorf("the page of a run has %d sections", n)
	}
	p.until("the chart of its power", `document.querySelector("img.chart").naturalWidth > 100`, 10*time.Second)
}

// hostileName tries to leave every context that it may be printed in.
const hostileName = `"'><script>window.hacked=1</script><img src=x onerror="window.hacked=1">`

// hostileStudy is the folder of an unfinished study whose names and errors are markup.
func hostileStudy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.ReplaceAll(hostileName, "/", "_"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run := start(t, "run", "-b", "fake,embedded", "-m", "random:tiny-llama", "-n", "4", "--output-tokens", "8",
		"--no-gaps",
		"-s", "baseline.seconds=0.2", "-s", "name="+hostileName, "-q", "-o", dir)
	_ = run.Wait()
	found, _ := filepath.Glob(filepath.Join(strings.NewReplacer("[", `\[`, "?", `\?`, "*", `\*`).Replace(dir), "*"))
	if len(found) != 1 {
		t.Fatalf("studies %v", found)
	}
	state, err := json.Marshal(map[string]any{"schema_version": 1, "name": hostileName, "planned": 4, "finished": 1,
		"process": map[string]any{"host": hostileName, "system": "0",
			"pid": 1}, "phase": "warmup", "detail": hostileName,
		"warning": hostileName, "written": time.Now(), "since": time.Now(), "began": time.Now(), "every_s": 1,
		"run": map[string]any{"index": 1, "id": hostileName, "label": hostileName, "cycle": 1},
		"devices": []any{map[string]any{"id": hostileName, "origin": hostileName, "watts": 5,
			"history": []any{1, 2, 5}}}})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.OpenFile(filepath.Join(found[0], "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		id, _ := json.Marshal(hostileName)
		_, err = fmt.Fprintf(journal, `{"id":%s,"cycle":1,"status":%[1]s,"message":%[1]s,"values":{}}`+"\n", id)
	}
	for _, err := range []error{err, journal.Close(), os.Remove(filepath.Join(found[0], "summary.json")),
		os.WriteFile(filepath.Join(found[0], "live-0.1.state"), state, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLiveHostile: names and errors do nothing on the page that follows a study, and make it no wider.
func TestLiveHostile(t *testing.T) {
	dir := hostileStudy(t)
	address := freeAddress(t)
	serve(t, dir, address)
	p := study(t, address)
	p.until("the state arrives", `document.getElementById("workers").textContent.includes("<script>")`, 10*time.Second)
	p.until("the run arrives", `document.getElementById("runs").textContent.includes("<script>")`, 10*time.Second)
	if read[bool](p, `"hacked" in window`) || read[int](p, `document.scripts.length`) != 1 ||
		read[int](p, `document.querySelectorAll("[onerror],[onload],img,iframe").length`) != 0 {
		t.Error("a name became markup")
	}
	p.fits(1280)
	p.fits(320)
	for _, path := range []string{"/", "/compare", "/metrics"} {
		p.do(chromedp.Navigate("http://" + address + path))
		if read[bool](p, `"hacked" in window`) ||
			read[int](p, `document.querySelectorAll("[onerror],img,script").length`) != 0 {
			t.Errorf("%s: a name became markup", path)
		}
	}
}

// TestLiveAccessible runs axe-core on the pages of a study: the list, a study that died, one of its runs, a comparison.
func TestLiveAccessible(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../stored")); err != nil {
		t.Fatal(err)
	}
	text := `{"schema_version":1,"planned":4,"finished":1,"process":{"system":"0","pid":1},"phase":"measure",` +
		`"detail":"x","warning":"w","run":{"index":1,"label":"b=1","cycle":1,"requests":9,"requests_done":3,` +
		`"output_tokens_per_s":5},"devices":[{"id":"gpu0","watts":5,"window_j":1,"history":[1,2,5]}]}`
	for _, err := range []error{os.Remove(filepath.Join(dir, "ends", "summary.json")),
		os.WriteFile(filepath.Join(dir, "ends", "live-0.1.state"), []byte(text), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	serve(t, dir, address)
	source := axe(t)
	for _, scheme := range []string{"light", "dark"} {
		p := visit(t, "http://"+address+"/",
			media(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}))
		p.accessible(source, "studies")
		p.fits(320)
		page := read[string](p, `[...document.querySelectorAll("tbody a")].find((a) => a.textContent === "ends").href`)
		p.do(chromedp.Navigate(page))
		p.until("runs", `document.querySelectorAll("#runs tr").length === 2`, 10*time.Second)
		p.accessible(source, "study")
		p.fits(320)
		p.do(chromedp.Navigate(read[string](p, `document.querySelector("#runs tr:last-child a").href`)))
		p.accessible(source, "run")
		p.fits(320)
		p.do(chromedp.Navigate("http://" + address + "/compare"))
		p.accessible(source, "compare")
	}
}
