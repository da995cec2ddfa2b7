package main

import (
	"strings"
	"testing"
)

// TestListApplies: the list follows the code. A mutation whose text is gone, or is there twice, tests nothing.
func TestListApplies(t *testing.T) {
	all, err := parse(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if _, err := m.apply("../.."); err != nil {
			t.Error(err)
		}
		if m.old == m.new {
			t.Errorf("%s: %q changes nothing", m.file, m.old)
		}
	}
	for _, dir := range []string{"internal/attribute", "internal/measure", "internal/join", "internal/stats",
		"internal/server", "internal/campaign", "result", "internal/store", "internal/secret", "internal/guardian",
		"internal/watch", "power"} {
		n := 0
		for _, m := range all {
			if strings.HasPrefix(m.file, dir+"/") {
				n++
			}
		}
		if n < 10 {
			t.Errorf("%s has %d mutations, want 10 at least", dir, n)
		}
	}
}
