package cli

import "testing"

// TestWidth: notes follow the terminal within limits, and nothing else depends on
// it.
func TestWidth(t *testing.T) {
	for name, q := range map[string]struct {
		tty     bool
		columns string
		window  func() int
		want    int
	}{
		"no terminal":             {false, "70", func() int { return 80 }, 0},
		"window":                  {true, "", func() int { return 80 }, 80},
		"COLUMNS wins":            {true, "70", func() int { return 80 }, 70},
		"COLUMNS is not a number": {true, "wide", func() int { return 80 }, 80},
		"very wide":               {true, "", func() int { return 300 }, 100},
		"very narrow":             {true, "12", nil, 40},
		"unknown":                 {true, "", func() int { return 0 }, 0},
		"unknown, nobody to ask":  {true, "", nil, 0},
	} {
		env := Env{StdoutTTY: q.tty, Columns: q.window, Getenv: func(k string) string {
			if k == "COLUMNS" {
				return q.columns
			}
			return ""
		}}
		if got := env.width(); got != q.want {
			t.Errorf("%s: %d, want %d", name, got, q.want)
		}
	}
}

// TestCanDraw: a terminal that cannot move its cursor, and one that nobody watches, get
// plain lines.
func TestCanDraw(t *testing.T) {
	for _, c := range []struct {
		tty  bool
		vars map[string]string
		want bool
	}{
		{true, nil, true},
		{true, map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}, true},
		{true, map[string]string{"TERM": "dumb"}, false},
		{true, map[string]string{"CI": "true"}, false},
		{false, nil, false},
	} {
		env := Env{StderrTTY: c.tty, Getenv: func(name string) string { return c.vars[name] }}
		if got := env.canDraw(); got != c.want {
			t.Errorf("terminal %v with %v: %v, want %v", c.tty, c.vars, got, c.want)
		}
	}
}
