package main

import "testing"

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
}
