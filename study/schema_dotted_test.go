package study

import (
	"encoding/json"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
)

// TestSchemaOfDottedSections: a section may stand after any dots of a key, as the loader reads it.
func TestSchemaOfDottedSections(t *testing.T) {
	var s struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(engines.All()), &s); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"workload", "workload.load", "workload.load.kind"} {
		if s.Properties[key] == nil || s.Defs["axes"].Properties[key] == nil {
			t.Errorf("the schema has no %q", key)
		}
	}
	if s.Defs["section.workload.load"].Properties["kind"] == nil {
		t.Error("workload.load has no kind")
	}
}
