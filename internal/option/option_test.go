package option

import (
	"encoding/json"
	"testing"

	"github.com/llenergymeasure/llem/engine"
)

// TestNamed: values get the engine's own names, parts of objects are combined, and existing values stay.
func TestNamed(t *testing.T) {
	var n int
	var s string
	fields := []engine.Field{
		engine.Whole(&n, "same", 1, 9, "x"),
		engine.Whole(&n, "other", 1, 9, "x").As("own-name"),
		engine.Whole(&n, "part", 1, 9, "x").As("config.part"),
		engine.List(&s, "sizes", "x", Sizes, "x").As("config.sizes"),
		engine.List(&s, "wrong", "x", Sizes, "x").As("config.wrong"),
		engine.Whole(&n, "left", 1, 9, "x").As("config.left"),
	}
	given := map[string]any{"same": 1, "other": 2, "part": 3, "sizes": "1,2", "wrong": "a,b", "more": true,
		"config": map[string]any{"old": 4}}
	got, err := json.Marshal(Named(fields, given))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"config":{"old":4,"part":3,"sizes":[1,2],"wrong":"a,b"},"more":true,"own-name":2,"same":1}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if given["other"] != 2 {
		t.Error("the section itself has changed")
	}
}
