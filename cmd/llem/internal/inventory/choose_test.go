package inventory

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
)

// TestAsk: an answer is a number or a name; another one is explained.
func TestAsk(t *testing.T) {
	names := []string{"embedded", "pytorch"}
	const again = "answer with a number from 1 to 2, or with a name: embedded, pytorch"
	for _, q := range []struct{ in, want, says string }{
		{"\n", "embedded", ""},
		{"2\n", "pytorch", ""},
		{"pytorch\n", "pytorch", ""},
		{" PyTorch \n", "pytorch", ""},
		{"", "embedded", ""},
		{"7\n1\n", "embedded", `"7" is not a backend in this list: ` + again},
		{"x\n2\n", "pytorch", `"x" is not a backend in this list: ` + again},
		{"fake\n1\n", "embedded", "fake is a simulation and runs with --backend fake only: " + again},
		{"vllm\n1\n", "embedded", "vllm cannot run here (`llem config` has the reason): " + again},
		{"x", "", ""},
		{"x\ny", "", `"x" is not a backend in this list: ` + again},
	} {
		var out strings.Builder
		got, err := Ask(strings.NewReader(q.in), &out, names, engines.All())
		if usage, wrong := errors.AsType[*AnswerError](err); got != q.want || wrong != (q.want == "") {
			t.Errorf("ask(%q) = %q, %v, want %q", q.in, got, err, q.want)
		} else if wrong && (!strings.Contains(usage.Error(), "is not a backend in this list") || usage.Next != again) {
			t.Errorf("ask(%q): %v, %s", q.in, err, usage.Next)
		}
		if !strings.Contains(out.String(), "--backend") || !strings.Contains(out.String(), q.says) {
			t.Errorf("ask(%q) says %q, want %q", q.in, out.String(), q.says)
		}
	}
}

// TestOffered: no simulation is offered, and the default stands first.
func TestOffered(t *testing.T) {
	all := Offered(engines.All(), func(string) bool { return true })
	if slices.Contains(all, "fake") || all[0] != engines.All()[0].Name || len(all) != len(engines.All())-1 {
		t.Errorf("offered: %v", all)
	}
	got := Offered(engines.All(), func(name string) bool { return name == "fake" || name == "embedded" })
	if len(got) != 1 {
		t.Errorf("offered: %v", got)
	}
}
