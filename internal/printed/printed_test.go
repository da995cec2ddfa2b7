package printed

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// written returns a log of numbered lines of 64 bytes, and a function that appends more.
func written(t *testing.T) (path string, write func(n int)) {
	path = filepath.Join(t.TempDir(), "engine.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	next := 0
	return path, func(n int) {
		var b bytes.Buffer
		for range n / 64 {
			b.WriteString(line(next))
			next++
		}
		if _, err := f.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

func line(i int) string {
	s := "line " + strings.Repeat("0", 9-len(digits(i))) + digits(i)
	return s + strings.Repeat(".", 63-len(s)) + "\n"
}

func digits(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return digits(i/10) + string(rune('0'+i%10))
}

// onDisk returns the disk space of a file.
func onDisk(t *testing.T, path string) int64 {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// TestKeeper: a long log takes bounded disk space while it is written, and keeps its beginning and its end.
func TestKeeper(t *testing.T) {
	path, write := written(t)
	k := &Keeper{freed: Head, end: make(chan struct{})}
	var err error
	if k.f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	total := 0
	for range 6 {
		write(16 << 20)
		total += 16 << 20
		k.trim()
		if n := onDisk(t, path); n > Head+Tail+2*slack {
			t.Fatalf("%d bytes on disk of %d", n, total)
		}
	}
	var live bytes.Buffer // its state while the engine works
	from, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if end, err := Copy(&live, from, 0); err != nil || end != int64(total) && k.lost == 0 {
		t.Errorf("copied up to %d of %d, %v", end, total, err)
	}
	k.Close()
	joined, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"joined": joined, "live": live.Bytes()} {
		if len(text) > Head+Tail+2*slack || len(text) < Head+Tail || bytes.IndexByte(text, 0) >= 0 {
			t.Errorf("%s: %d bytes, or holes in them", name, len(text))
		}
		if !bytes.HasPrefix(text, []byte(line(0)+line(1))) || !bytes.HasSuffix(text, []byte(line(total/64-1))) {
			t.Errorf("%s: begins %.70q, ends %q", name, text, text[len(text)-70:])
		}
		if !bytes.Contains(text, []byte("bytes of the engine's output are left out here]\n")) {
			t.Errorf("%s: does not report what is left out", name)
		}
	}
	if want := leftOut(int64(total) - Head - Tail); !bytes.Contains(joined, want) && k.lost == 0 {
		t.Errorf("want the line %q", want)
	}
}

// TestKeeperJoins: if no space can be freed, the parts are joined repeatedly, and the line counts all lost bytes.
func TestKeeperJoins(t *testing.T) {
	path, write := written(t)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := &Keeper{f: f, freed: Head, end: make(chan struct{})} // only this test calls it
	for range 3 {
		write(32 << 20)
		k.join()
	}
	k.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const total = 3 * 32 << 20
	if !bytes.Contains(text, leftOut(total-Head-Tail)) || bytes.Count(text, []byte("[llem: ")) != 1 ||
		!bytes.HasSuffix(text, []byte(line(total/64-1))) || len(text) > Head+Tail+100 {
		t.Errorf("%d bytes, want the line %q once, and the last line", len(text), leftOut(total-Head-Tail))
	}
}

// TestShortLog: a log within the limit is left unchanged.
func TestShortLog(t *testing.T) {
	path, write := written(t)
	k := Keep(path)
	write(Head + Tail)
	k.trim()
	k.Close()
	if info, err := os.Stat(path); err != nil || info.Size() != Head+Tail {
		t.Errorf("%v, %v", info, err)
	}
	var none *Keeper
	none.Close()
	if Keep(filepath.Join(path, "not")) != nil {
		t.Error("a missing log is kept")
	}
}

// TestOutput: a program that does not stop printing is ended, and its first output is returned.
func TestOutput(t *testing.T) {
	run := func(script string) (string, string, time.Duration, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, "sh", "-c", script)
		c.WaitDelay = time.Second
		began := time.Now()
		out, said, err := Output(c, 64<<10, cancel)
		return string(out), string(said), time.Since(began), err
	}
	if out, said, _, err := run("echo a; echo b >&2"); out != "a\n" || said != "b\n" || err != nil {
		t.Errorf("%q, %q, %v", out, said, err)
	}
	_, _, _, err := run("echo why >&2; exit 3")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || string(exit.Stderr) != "why\n" {
		t.Errorf("%v, want what it printed", err)
	}
	for _, script := range []string{"yes", "yes >&2",
		"trap '' PIPE TERM; while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyy; done"} {
		out, said, took, err := run(script)
		if !errors.Is(err, ErrTooMuch) || len(out)+len(said) != 64<<10 || took > time.Minute {
			t.Errorf("%s: %d and %d bytes, %v after %v", script, len(out), len(said), err, took)
		}
	}
}
