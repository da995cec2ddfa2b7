package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Check is the outcome of recomputing the numbers of one run from its raw files.
type Check struct {
	Run     string
	Numbers int
	Differ  []Difference
	// Skipped is the reason why nothing was compared.
	Skipped string
	// Files names the files that changed since they were written.
	Files []string
	// Error is the reason why the run could not be read; Next is the next step, also for
	// numbers that differ.
	Error, Next string
}

// Difference is a number of a record that does not follow from the raw files.
type Difference struct {
	Key                string
	Recorded, Computed any
}

// maxShown is the number of differences that are printed for one run.
const maxShown = 12

// Checks prints one line for every run whose numbers match, and the differences of
// the other runs.
func (t Terminal) Checks(w io.Writer, all []Check) error {
	var b strings.Builder
	for _, c := range all {
		t.check(&b, c)
	}
	_, err := io.WriteString(w, t.Style.Text(b.String()))
	return err
}

func (t Terminal) check(b *strings.Builder, c Check) {
	first := c.Run + ": "
	switch {
	case c.Error != "":
		t.wrap(b, first+t.red("cannot be recomputed")+": ", "  ", c.Error)
	case c.Skipped != "":
		t.wrap(b, first+"skipped: ", "  ", c.Skipped)
	case len(c.Differ) == 0:
		fmt.Fprintf(b, "%srecomputed: %s, all match\n", first, digits.Count(c.Numbers, "number"))
	default:
		t.wrap(b, first+"recomputed: ", "  ",
			digits.Count(c.Numbers, "number")+", "+
				t.red(fmt.Sprintf("%d do not follow from the raw files", len(c.Differ))))
		for i, d := range c.Differ {
			if i == maxShown {
				t.wrap(b, "  ", "    ", fmt.Sprintf("and %d more; --json lists all", len(c.Differ)-maxShown))
				break
			}
			t.wrap(b, "  "+d.Key+": ", "    ", "recorded "+exactly(d.Recorded)+", recomputed "+exactly(d.Computed))
		}
	}
	for _, f := range c.Files {
		t.wrap(b, "  "+t.red("file: "), "    ", f)
	}
	if c.Next != "" {
		t.wrap(b, "  next: ", "        ", c.Next)
	}
}

// exactly prints a value with all its digits.
func exactly(v any) string {
	switch x := v.(type) {
	case nil:
		return "nothing"
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}
