package study

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/source"
)

// schemaID names the schema; it changes with idVersion.
const schemaID = "https://github.com/llenergymeasure/llem/study.schema.json"

// Schema returns a JSON Schema (draft 2020-12) of study files, made from the same tables as the loader. Editors
// complete and check with it. It is slightly stricter than [Load] if a text is a plain YAML value that looks like
// a number.
func Schema(engines engine.Descriptors) []byte {
	k := newTable(engines)
	defs := definitions{
		"range": {"type": "string", "pattern": source.RangePattern(),
			"description": "LOW..HIGH, LOW..HIGH+STEP or LOW..HIGH*FACTOR"},
		"expression": describe(anyOf(schema{"type": "string"}, schema{"type": "number"}),
			"numbers, \"texts\", dotted keys and batch, with + - * / %, comparisons, in (..), and, or, not"),
	}
	var values, axes, links []property
	for _, f := range k.Fields {
		defs["value."+f.Key] = valueSchema(f, k)
		values = append(values, property{f.Key, ref("value." + f.Key)})
		links = append(links, property{f.Key, ref("expression")})
		if !f.Aside {
			defs["axis."+f.Key] = axisSchema(f)
			axes = append(axes, property{f.Key, ref("axis." + f.Key)})
		}
	}
	id := property{"id", schema{"type": "string", "pattern": "^[0-9a-f]{12}$",
		"description": "checked if given: the experiment's ID, as its values make it"}}
	defs["point"] = describe(defs.closed("section", "", append(slices.Clone(values), id)),
		"one experiment: its keys override the keys of the file")
	defs["axes"] = describe(defs.closed("axes", "", axes), "keys with their values")
	defs["sweep"] = describe(defs.closed("axes", "",
		append(axes, sweepProperties(defs.closed("links", "", links))...)), "axes whose product is the study")

	text := schema{"type": "string", "minLength": 1}
	top := []property{
		{"name", schema{"type": "string", "minLength": 1, "description": "names the folder of results"}},
		{"base", describe(anyOf(text, list(text)),
			"study files that this one is laid over; paths are relative to this file")},
		{"sweep", ref("sweep")},
		{"experiments", describe(schema{"type": "array", "items": ref("point")},
			"explicit points, in addition to the points of the sweep")},
	}
	for _, v := range values {
		if v.key == "backend" {
			v.schema = anyOf(v.schema, list(v.schema))
		}
		top = append(top, v)
	}
	for _, f := range executionFields() {
		top = append(top, property{f.Key, f.schema()})
	}
	root := defs.closed("section", "", top)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = schemaID
	root["title"] = "llem study"
	root["description"] = "Experiments that measure the energy of language model inference"
	root["$defs"] = defs
	out, err := json.MarshalIndent(root, "", " ")
	if err != nil {
		panic(fmt.Sprintf("marshal the schema: %v", err)) // maps of plain values marshal
	}
	return append(out, '\n')
}

// sweepProperties returns the keys of sweep that are not axes.
func sweepProperties(links schema) []property {
	name := schema{"type": "string"}
	return []property{
		{"groups", describe(schema{"type": "object", "additionalProperties": list(ref("axes"))},
			"named lists of maps that set several keys together; {} changes nothing")},
		{"zip", describe(anyOf(ref("axes"), schema{"type": "array", "items": anyOf(name, list(name), ref("axes"))}),
			"axes that advance together")},
		{"link", describe(links, "keys that take the value of an expression")},
		{"where", describe(anyOf(ref("expression"), schema{"type": "array", "items": ref("expression")}),
			"conditions that every point of the sweep must meet")},
	}
}

// reference lists all keys of a study file as Markdown: a table for what every experiment has, one for each
// backend's section, and one for the execution.
func reference(engines engine.Descriptors) string {
	k := newTable(engines)
	var b strings.Builder
	table := ""
	row := func(key, accepts string, preset any, help string) {
		head, _, _ := strings.Cut(key, ".")
		title := "Every experiment"
		if strings.Contains(key, ".") && (slices.Contains(k.Backends, head) || head == "execution") {
			title = "`" + head + "`"
		}
		if title != table {
			table = title
			fmt.Fprintf(&b, "\n### %s\n\n| key | accepts | default | meaning |\n| --- | --- | --- | --- |\n", title)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %v | %s |\n", key, strings.ReplaceAll(accepts, "|", "\\|"), preset, help)
	}
	row("name", source.NameKind.Want, "", "names the folder of results")
	d := k.Initial
	for _, f := range k.Fields {
		var preset any = f.Get(d)
		switch {
		case f.Preset, f.Unset, f.Key == "model", f.Key == "energy.remote":
			preset = ""
		case f.Optional:
			preset = "the engine's"
		}
		row(f.Key, f.Kind.Want, preset, f.Help)
	}
	for _, f := range executionFields() {
		preset := f.schema()["default"]
		if preset == nil {
			preset = ""
		}
		row(f.Key, f.Kind.Want, preset, f.Help)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

type schema = map[string]any

// property is a dotted key with what it accepts.
type property struct {
	key    string
	schema schema
}

func anyOf(options ...schema) schema { return schema{"anyOf": options} }

func list(item schema) schema { return schema{"type": "array", "items": item, "minItems": 1} }

func describe(s schema, text string) schema {
	s["description"] = text
	return s
}

// definitions are the parts that a schema refers to by name.
type definitions map[string]schema

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

// closed returns the schema of an object with exactly the given keys. A dotted key may be written literally, as
// nested objects, or as a mixture. The nested objects are definitions, named after the family of the keys and
// their place.
func (defs definitions) closed(family, place string, properties []property) schema {
	all := schema{}
	below := map[string][]property{}
	for _, p := range properties {
		all[p.key] = p.schema
		for i, c := range p.key {
			if c == '.' {
				below[p.key[:i]] = append(below[p.key[:i]], property{p.key[i+1:], p.schema})
			}
		}
	}
	for head, inner := range below {
		name := family + "." + place + head
		if _, ok := defs[name]; !ok {
			defs[name] = defs.closed(family, place+head+".", inner)
		}
		all[head] = ref(name)
	}
	return schema{"type": "object", "properties": all, "additionalProperties": false}
}

// valueSchema describes one value of a key.
func valueSchema(f *keys.Field, k *table) schema {
	s := maps.Clone(f.Kind.Schema)
	s["description"] = f.Help + " (" + f.Kind.Want + ")"
	v := f.Get(k.Initial)
	switch {
	case f.Unset:
	case f.Optional:
		s["description"] = f.Help + " (" + f.Kind.Want + "; default: the engine's own)"
	case f.Kind.Basic == grammar.IsNumber && f.Kind.Whole:
		s["default"] = v.Whole
	case f.Kind.Basic == grammar.IsNumber:
		s["default"] = v.Number
	case v.Text != "":
		s["default"] = v.Text
	}
	return s
}

// axisSchema accepts one value, a range, or a list of both.
func axisSchema(f *keys.Field) schema {
	value := ref("value." + f.Key)
	if !f.Kind.Ranges {
		return anyOf(value, list(value))
	}
	return anyOf(value, ref("range"), list(anyOf(value, ref("range"))))
}

// schema describes one value of the execution section.
func (f executionKey) schema() schema {
	s := maps.Clone(f.Kind.Schema)
	s["description"] = f.Help
	switch f.Key {
	case "execution.cycles":
		s["default"] = defaultExecution().Cycles
	case "execution.order":
		s["default"] = defaultExecution().Order
	case "execution.restart":
		s["default"] = defaultExecution().Restart
	}
	return s
}
