package study

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schemaID names the schema; it changes with idVersion.
const schemaID = "https://github.com/llenergymeasure/llem/study.schema.json"

// Schema is a JSON Schema (draft 2020-12) of study files, made from the same tables
// as the loader. Editors complete and check with it. It is a little stricter than
// [Load] where a plain YAML value that looks like a number stands for a text.
func Schema() []byte {
	defs := map[string]schema{"range": {"type": "string", "pattern": rangeText.String(), "description": "LOW..HIGH, LOW..HIGH+STEP or LOW..HIGH*FACTOR"}}
	var values, axes, entries, links []property
	for _, f := range fields {
		defs[f.key] = f.schema()
		ref := schema{"$ref": "#/$defs/" + f.key}
		value := property{f.key, ref}
		if f.key == "backend" {
			value.schema = anyOf(ref, list(ref))
		}
		values = append(values, value)
		links = append(links, property{f.key, schema{"$ref": "#/$defs/expression"}})
		entries = append(entries, property{f.key, ref})
		if !f.aside {
			axes = append(axes, property{f.key, f.axisSchema(ref)})
		}
	}
	defs["expression"] = anyOf(schema{"type": "string"}, schema{"type": "number"})
	defs["expression"]["description"] = "numbers, \"texts\", dotted keys and batch, with + - * / %, comparisons, in (..), and, or, not"
	defs["point"] = describe(closed(append(entries, property{"id", schema{"type": "string", "pattern": "^[0-9a-f]{12}$", "description": "checked if given: what the values make the experiment's ID"}})),
		"one experiment: keys over those of the file")
	defs["axes"] = describe(closed(axes), "keys with their values")
	defs["sweep"] = describe(closed(append(slices.Clone(axes),
		property{"groups", describe(schema{"type": "object", "additionalProperties": list(schema{"$ref": "#/$defs/axes"})}, "named lists of maps that set several keys together; {} changes nothing")},
		property{"zip", describe(anyOf(schema{"$ref": "#/$defs/axes"}, schema{"type": "array", "items": anyOf(schema{"type": "string"}, list(schema{"type": "string"}), schema{"$ref": "#/$defs/axes"})}), "axes that advance together")},
		property{"link", describe(closed(links), "keys that take the value of an expression")},
		property{"where", describe(anyOf(schema{"$ref": "#/$defs/expression"}, schema{"type": "array", "items": schema{"$ref": "#/$defs/expression"}}), "conditions that every point of the sweep must meet")},
	)), "axes whose product is the study")

	top := append(slices.Clone(values),
		property{"name", schema{"type": "string", "minLength": 1, "description": "names the folder of results"}},
		property{"base", describe(anyOf(schema{"type": "string", "minLength": 1}, list(schema{"type": "string", "minLength": 1})), "study files that this one is laid over; paths are relative to this file")},
		property{"sweep", schema{"$ref": "#/$defs/sweep"}},
		property{"experiments", describe(schema{"type": "array", "items": schema{"$ref": "#/$defs/point"}}, "explicit points, beside those of the sweep")},
	)
	for _, f := range executionFields {
		top = append(top, property{f.key, f.schema()})
	}
	root := closed(top)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = schemaID
	root["title"] = "llem study"
	root["description"] = "Experiments that measure the energy of language model inference"
	root["$defs"] = defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("marshal the schema: %v", err)) // maps of plain values marshal
	}
	return append(out, '\n')
}

// Reference lists all keys of a study file as Markdown tables, one for each section.
func Reference() string {
	var b strings.Builder
	section := "-"
	row := func(key, accepts, preset, help string) {
		head, _, dotted := strings.Cut(key, ".")
		if !dotted {
			head = ""
		}
		if head != section {
			section = head
			b.WriteString("\n| key | accepts | default | meaning |\n| --- | --- | --- | --- |\n")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, strings.ReplaceAll(accepts, "|", "\\|"), preset, help)
	}
	row("name", nameKind.want, "", "names the folder of results")
	d := defaults()
	for _, top := range []bool{true, false} {
		for _, f := range fields {
			if strings.Contains(f.key, ".") == top {
				continue
			}
			preset := f.get(&d).String()
			if f.optional {
				preset = "the engine's"
			} else if f.key == "model" || f.key == "energy.remote" {
				preset = ""
			}
			row(f.key, f.kind.want, preset, f.help)
		}
	}
	for _, f := range executionFields {
		preset := f.schema()["default"]
		if preset == nil {
			preset = ""
		}
		row(f.key, f.kind.want, fmt.Sprint(preset), f.help)
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

// closed is an object with the given keys and no others. A key with dots may be
// written as it is, or as nested objects, or as a mixture.
func closed(properties []property) schema {
	all := schema{}
	below := map[string][]property{}
	for _, p := range properties {
		all[p.key] = p.schema
		if head, rest, dotted := strings.Cut(p.key, "."); dotted {
			below[head] = append(below[head], property{rest, p.schema})
		}
	}
	for _, head := range slices.Sorted(maps.Keys(below)) {
		all[head] = closed(below[head])
	}
	return schema{"type": "object", "properties": all, "additionalProperties": false}
}

// schema describes one value of the field.
func (f *field) schema() schema {
	s := maps.Clone(f.kind.schema)
	s["description"] = f.help + " (" + f.kind.want + ")"
	d := defaults()
	v := f.get(&d)
	switch {
	case f.optional:
		s["description"] = f.help + " (" + f.kind.want + "; left out, the engine's default)"
	case f.kind.basic == isNumber && f.kind.whole:
		s["default"] = v.i
	case f.kind.basic == isNumber:
		s["default"] = v.f
	case v.s != "":
		s["default"] = v.s
	}
	return s
}

// axisSchema accepts one value, a range, or a list of both.
func (f *field) axisSchema(ref schema) schema {
	if !f.kind.ranges {
		return anyOf(ref, list(ref))
	}
	span := schema{"$ref": "#/$defs/range"}
	return anyOf(ref, span, list(anyOf(ref, span)))
}

// schema describes one value of the execution section.
func (f *executionField) schema() schema {
	s := maps.Clone(f.kind.schema)
	s["description"] = f.help
	switch f.key {
	case "execution.cycles":
		s["default"] = DefaultExecution().Cycles
	case "execution.order":
		s["default"] = DefaultExecution().Order
	case "execution.seed":
		s["default"] = DefaultExecution().Seed
	}
	return s
}
