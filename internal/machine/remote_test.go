package machine

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/note"
)

// TestUselessPages: a metrics page that is of no use from the start stops a study with the
// reason and the next step.
func TestUselessPages(t *testing.T) {
	dcgm := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "DCGM_FI_DEV_POWER_USAGE{gpu=\"%d\",UUID=\"GPU-%d\"} 100\n", i, i)
		}
		return b.String()
	}
	for name, q := range map[string]struct {
		page, metric string
		status       int
		says         string
	}{
		"good":              {page: "m 5\n", metric: "#m:W"},
		"good GPUs":         {page: dcgm(8)},
		"HTML":              {page: "<html><p>5</p>", metric: "#m:W", says: "it is a web page"},
		"500":               {page: "m 5\n", metric: "#m:W", status: 500, says: "the server answered 500"},
		"NaN":               {page: "m NaN\n", metric: "#m:W", says: "no usable value: NaN"},
		"negative":          {page: "m -5\n", metric: "#m:W", says: "no usable value: -5"},
		"other metric":      {page: "n 5\n", metric: "#m:W", says: "there is no metric m"},
		"nothing":           {metric: "#m:W", says: "it has no metrics"},
		"20000 GPUs":        {page: dcgm(9_000), says: "the page has 9000 GPUs; at most 256 are supported"},
		"many series":       {page: dcgm(20_000), says: "too many series of one metric: more than 10000"},
		"a line for ever":   {page: "m" + strings.Repeat("x", 9<<20), metric: "#m:W", says: "larger than 8 MiB"},
		"comments for ever": {page: strings.Repeat("# no\n", 2<<20), metric: "#m:W", says: "larger than 8 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				if q.status > 0 {
					w.WriteHeader(q.status)
				}
				_, _ = w.Write([]byte(q.page))
			}))
			defer srv.Close()
			began := time.Now()
			n := Needs{Power: true, Remotes: []string{"wall=" + srv.URL + q.metric}}
			m, err := Open(t.Context(), Options{Needs: n})
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if q.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				m.Close()
				return
			}
			f, ok := errors.AsType[*note.Failure](err)
			if !ok || !strings.Contains(f.Message, q.says) || !strings.Contains(f.Message, srv.URL) ||
				!strings.Contains(f.Next, "or remove energy.remote") {
				t.Errorf("%v, want a failure that says %q", err, q.says)
			}
		})
	}
	n := Needs{Remotes: []string{"wall=http://127.0.0.1:1/metrics#m:W"}}
	if m, err := Open(t.Context(), Options{Needs: n}); err != nil {
		t.Errorf("a study without energy: %v", err)
	} else {
		m.Close()
	}
}
