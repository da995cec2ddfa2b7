// Package damage makes damaged copies of files and streams, for tests of their readers, and checks what every
// reader must do: return in bounded time and memory, with an error that names the file, or with the values of
// the intact file. If the file has a checksum, other values are never acceptable.
//
// The copies follow from a seed, [SeedEnv], and the name of the format, so that a failure can be reproduced.
package damage

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// SeedEnv sets the seed of the copies.
	SeedEnv = "LLEM_TEST_SEED"
	// AllEnv set to full selects all copies instead of a sample.
	AllEnv = "LLEM_TEST_DAMAGE"
)

// Limits for reading one copy.
const (
	mostTime  = 10 * time.Second
	mostBytes = 2 << 30 // allocated in total, an upper bound of the memory in use
)

// Seed returns the seed of the copies of a test, and logs it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv(SeedEnv), 10, 64)
	if err != nil {
		seed = 1
	}
	t.Logf("to repeat: %s=%d", SeedEnv, seed)
	return seed
}

// Number returns how many copies to make: all if the environment says so, otherwise a sample.
func Number(all, sample int) int {
	if os.Getenv(AllEnv) == "full" {
		return all
	}
	return sample
}

// Copy is a damaged copy.
type Copy struct {
	// How describes the damage.
	How string
	// Bytes are its content.
	Bytes []byte
}

// Format is a kind of file with its reader.
type Format struct {
	// Name of the format.
	Name string
	// Names: an error must contain one of them, the file or what it belongs to; empty if the text has no
	// name.
	Names []string
	// Intact is the content of an undamaged file.
	Intact []byte
	// Within limits the damage to the first bytes, for files whose rest is data that the reader does not
	// interpret; 0 means the whole file.
	Within int
	// ByNature is why damage may give another valid value, for files that people write and for output of
	// other programs without a checksum; empty if it must not.
	ByNature string
	// Read reads a copy, and returns everything that the program would use.
	Read func(text []byte) (says string, err error)
}

// Tally counts outcomes.
type Tally struct {
	// Format is the name of the format.
	Format string
	// Counts of damaged copies: refused, read with the values of the intact file (Same), or with other valid
	// values (ByNature).
	Damaged, Refused, Same, ByNature int
	// Took is the time for all of them.
	Took time.Duration
}

// Copies returns n copies, each damaged in one place: half of them by a bit, the others by truncation, a
// block of zeros or a repeated block.
func (f Format) Copies(seed uint64, n int) []Copy {
	h := fnv.New64a()
	_, _ = h.Write([]byte(f.Name))
	var out []Copy
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, h.Sum64()+uint64(i)))
		c := f.damaged(i, rng)
		for bytes.Equal(c.Bytes, f.Intact) { // there were already zeros
			c = f.damaged(0, rng)
		}
		out = append(out, c)
	}
	return out
}

func (f Format) damaged(i int, rng *rand.Rand) Copy {
	within := len(f.Intact)
	if f.Within > 0 {
		within = min(within, f.Within)
	}
	at := rng.IntN(within)
	to := min(within, at+1+rng.IntN(min(64, within)))
	b := bytes.Clone(f.Intact)
	switch i % 6 {
	case 1:
		at = rng.IntN(len(b))
		return Copy{fmt.Sprintf("cut to %d of %d bytes", at, len(b)), b[:at]}
	case 3:
		clear(b[at:to])
		return Copy{fmt.Sprintf("bytes %d to %d are 0", at, to), b}
	case 5:
		b = append(b[:to:to], f.Intact[at:]...)
		return Copy{fmt.Sprintf("bytes %d to %d are repeated", at, to), b}
	}
	bit := rng.IntN(8)
	b[at] ^= 1 << bit
	return Copy{fmt.Sprintf("bit %d of byte %d is flipped", bit, at), b}
}

// Check reads n damaged copies, and reports every copy that was not handled as required.
func (f Format) Check(t testing.TB, seed uint64, n int) Tally {
	t.Helper()
	intact, err := guarded(f.Intact, f.Read)
	if err != nil {
		t.Fatalf("%s, not damaged: %v", f.Name, err)
	}
	start := time.Now()
	out := Tally{Format: f.Name}
	for _, c := range f.Copies(seed, n) {
		out.Damaged++
		says, err := guarded(c.Bytes, f.Read)
		_, broken := err.(*brokenError) //nolint:errorlint // it is not wrapped
		switch {
		case broken:
			t.Errorf("%s, %s: %v", f.Name, c.How, err)
		case err != nil && !f.named(err):
			t.Errorf("%s, %s: the error does not name %s: %.300s", f.Name, c.How, strings.Join(f.Names, ", "),
				err.Error())
		case err != nil:
			out.Refused++
		case says == intact:
			out.Same++
		case f.ByNature != "":
			out.ByNature++
		default:
			t.Errorf("%s, %s: read with other values: %s", f.Name, c.How, difference(intact, says))
		}
	}
	out.Took = time.Since(start)
	return out
}

func (f Format) named(err error) bool {
	return len(f.Names) == 0 ||
		slices.ContainsFunc(f.Names, func(name string) bool { return strings.Contains(err.Error(), name) })
}

// brokenError reports a reader that did not do what every reader must.
type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

// guarded reads a copy, and returns a *brokenError if reading it panics, does not end or takes too much memory.
func guarded(text []byte, read func([]byte) (string, error)) (string, error) {
	type outcome struct {
		says string
		err  error
	}
	ended := make(chan outcome, 1)
	before := allocated()
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o.err = &brokenError{fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
			}
			ended <- o
		}()
		o.says, o.err = read(text)
	}()
	select {
	case o := <-ended:
		if n := allocated() - before; n > mostBytes {
			return "", &brokenError{fmt.Sprintf("reading took %d MB of memory", n>>20)}
		}
		return o.says, o.err
	case <-time.After(mostTime):
		return "", &brokenError{fmt.Sprintf("reading did not end within %v", mostTime)}
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// difference shows where two texts differ.
func difference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-40)
	return fmt.Sprintf("%q, the intact file has %q", b[from:min(len(b), i+60)], a[from:min(len(a), i+60)])
}

// Table logs the outcome for the copies of each format.
func Table(t testing.TB, all []Tally) (damaged int) {
	t.Helper()
	var b strings.Builder
	row := "\n%-34s %8v %8v %8v %10v %8v"
	fmt.Fprintf(&b, row, "format", "damaged", "refused", "same", "by nature", "s")
	var sum Tally
	line := func(x Tally) {
		fmt.Fprintf(&b, row, x.Format, x.Damaged, x.Refused, x.Same, x.ByNature,
			strconv.FormatFloat(x.Took.Seconds(), 'f', 2, 64))
	}
	sum.Format = "all"
	for _, x := range all {
		line(x)
		sum.Damaged += x.Damaged
		sum.Refused += x.Refused
		sum.Same += x.Same
		sum.ByNature += x.ByNature
		sum.Took += x.Took
	}
	line(sum)
	t.Log(b.String())
	return sum.Damaged
}
