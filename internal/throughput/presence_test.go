package throughput

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPresences: what workers leave of their times is read, also what one leaves that was killed.
func TestPresences(t *testing.T) {
	t.Parallel()
	dir, claims := t.TempDir(), t.TempDir()
	for i, name := range []string{"left", "live", "killed", "again"} {
		from := at(float64(60 * i))
		err := Come(dir, name, from)
		if err == nil && (name == "left" || name == "again") {
			err = Go(dir, name, from.Add(time.Minute))
		}
		if err == nil && name == "again" {
			err = Come(dir, name, from.Add(time.Hour))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sign := at(3600)
	held := filepath.Join(claims, "@live", "1")
	if err := os.Mkdir(filepath.Dir(held), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(held, sign, sign); err != nil {
		t.Fatal(err)
	}
	torn, err := os.OpenFile(filepath.Join(dir, "killed"+presentSuffix), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = torn.WriteString(`{"to":"2026-`)
	_ = torn.Close()
	got := presences(dir, claims)
	if p := got["left"]; len(p) != 1 || p[0].To.Sub(p[0].From) != time.Minute {
		t.Errorf("left: %v", p)
	}
	if p := got["live"]; len(p) != 1 || !p[0].To.Equal(sign) {
		t.Errorf("live: %v", p)
	}
	if p := got["killed"]; len(p) != 1 || !p[0].To.IsZero() {
		t.Errorf("killed: %v", p)
	}
	if p := got["again"]; len(p) != 2 || p[0].To.IsZero() || !p[1].To.IsZero() {
		t.Errorf("again: %v", p)
	}
	if p := presences(filepath.Join(dir, "none"), claims); len(p) != 0 {
		t.Errorf("%v", p)
	}
}
