package study

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/grammar"
)

// TestSchemaHasEveryKey: in all its spellings, with a description.
func TestSchemaHasEveryKey(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(engines.All()), &root); err != nil {
		t.Fatal(err)
	}
	defs := root["$defs"].(map[string]any)
	properties := func(s any) map[string]any { return s.(map[string]any)["properties"].(map[string]any) }
	places := map[string]map[string]any{"the file": properties(root), "a point": properties(defs["point"]),
		"link": properties(properties(defs["sweep"])["link"])}
	var experiment, execution []string
	for _, f := range grammarOfAll().Fields {
		experiment = append(experiment, f.Key)
		d, ok := defs["value."+f.Key].(map[string]any)
		if !ok || d["description"] == "" || d["description"] == nil {
			t.Errorf("%s has no description", f.Key)
		}
		if _, ok := d["default"]; !ok && !f.Optional && !f.Unset && f.Key != "model" && f.Key != "energy.remote" &&
			f.Key != "energy.currency" {
			t.Errorf("%s has no default", f.Key)
		}
		if f.Kind.Enum != nil && f.Kind.Basic == grammar.IsText && !strings.Contains(string(mustJSON(t, d)), `"enum"`) {
			t.Errorf("%s has no enum", f.Key)
		}
		if f.Kind.Basic == grammar.IsNumber && !strings.Contains(string(mustJSON(t, d)), `"minimum"`) {
			t.Errorf("%s has no range", f.Key)
		}
		for name, p := range map[string]map[string]any{"sweep": properties(defs["sweep"]),
			"axes": properties(defs["axes"])} {
			if has(defs, p, f.Key) == f.Aside {
				t.Errorf("%s in %s: %t", f.Key, name, has(defs, p, f.Key))
			}
		}
	}
	for _, f := range executionFields() {
		execution = append(execution, f.Key)
	}
	for place, p := range places {
		for _, key := range experiment {
			if !has(defs, p, key) {
				t.Errorf("%s is missing in %s", key, place)
			}
		}
	}
	for _, key := range append(execution, "name", "base", "sweep", "experiments") {
		if !has(defs, properties(root), key) {
			t.Errorf("%s is missing", key)
		}
	}
	open := func(where string, s map[string]any) {
		if s["type"] == "object" && s["additionalProperties"] == nil {
			t.Errorf("%s accepts any key", where)
		}
	}
	visit(root, "", open)
}

// TestReferenceHasEveryKey: each on its own line.
func TestReferenceHasEveryKey(t *testing.T) {
	text := reference(engines.All())
	for _, f := range grammarOfAll().Fields {
		if strings.Count(text, "\n| `"+f.Key+"` |") != 1 {
			t.Errorf("%s is missing", f.Key)
		}
	}
	for _, f := range executionFields() {
		if strings.Count(text, "\n| `"+f.Key+"` |") != 1 {
			t.Errorf("%s is missing", f.Key)
		}
	}
	if len(BatchKeys(engines.All())) != len(engines.All().Names()) {
		t.Errorf("batch keys %q of the backends %q", BatchKeys(engines.All()), engines.All().Names())
	}
}

// TestDocsHaveTheReference: docs/studies.md ends with the current reference; -update writes it.
func TestDocsHaveTheReference(t *testing.T) {
	const file, head = "../docs/studies.md", "## All keys\n\n"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, got, ok := strings.Cut(string(data), head)
	if !ok {
		t.Fatalf("%s has no %q", file, head)
	}
	want := strings.TrimRight(reference(engines.All()), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(before+head+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not the reference of the keys: go test ./study -run TestDocsHaveTheReference -update", file)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// has finds a dotted key, literally and nested.
func has(defs, properties map[string]any, key string) bool {
	if _, ok := properties[key]; !ok {
		return false
	}
	head, rest, dotted := strings.Cut(key, ".")
	if !dotted {
		return true
	}
	nested, ok := properties[head].(map[string]any)
	if !ok {
		return false
	}
	name, _ := nested["$ref"].(string)
	target, ok := defs[strings.TrimPrefix(name, "#/$defs/")].(map[string]any)
	if !ok {
		return false
	}
	below, ok := target["properties"].(map[string]any)
	return ok && has(defs, below, rest)
}

func visit(v any, where string, f func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		f(where, v)
		for k, child := range v {
			visit(child, where+"/"+k, f)
		}
	case []any:
		for _, child := range v {
			visit(child, where, f)
		}
	}
}

// TestSchemaAgreesWithTheLoader: an independent validator accepts all good studies, and refuses studies with
// mistakes that a schema can detect. It needs a Python with the packages jsonschema and ruamel.yaml.
func TestSchemaAgreesWithTheLoader(t *testing.T) {
	python := os.Getenv("LLEM_TEST_JSONSCHEMA")
	if python == "" {
		t.Skip("NOT CHECKED: set LLEM_TEST_JSONSCHEMA to a Python interpreter with jsonschema and ruamel.yaml")
	}
	dir := t.TempDir()
	schema := filepath.Join(dir, "schema.json")
	if err := os.WriteFile(schema, Schema(engines.All()), 0o644); err != nil {
		t.Fatal(err)
	}
	good, _ := filepath.Glob("testdata/*.good.yaml")
	// The schema is stricter about texts that look like numbers.
	good = slices.DeleteFunc(good, func(f string) bool { return f == "testdata/names.good.yaml" })
	examples, _ := filepath.Glob("../examples/*.yaml")
	bases, _ := filepath.Glob("testdata/base/[cd][oe]*.yaml")
	bad := []string{}
	for _, name := range []string{
		"unknown-key", "unknown-nested", "wrong-type", "zero", "negative", "order", "unknown-backend",
		"unknown-dtype", "device", "scalar-for-map", "sweep-scalar",
		"sweep-unknown", "sweep-bad-value", "sweep-aside", "sweep-execution", "empty-axis", "group-empty",
		"group-unknown", "group-form", "zip-form", "link-unknown",
		"experiments-list", "experiments-unknown", "execution-values", "execution-until", "vllm-keys", "bool-words",
		"fraction", "quoted-number", "sexagesimal", "base-form",
		"null-value", "map-for-scalar", "list-for-scalar", "decoding-engine", "huge-int", "range-form",
	} {
		bad = append(bad, filepath.Join("testdata", name+".bad.yaml"))
	}
	args := append([]string{"testdata/validate.py", schema, "good"}, append(append(good, examples...), bases...)...)
	args = append(append(args, "bad"), bad...)
	out, err := exec.Command(python, args...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("%v", err)
	}
}
