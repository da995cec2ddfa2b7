package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// promptFields are the fields that may hold the prompt, strongest first.
var promptFields = [...]string{"prompt", "text", "instruction", "input", "question"}

// errNoHumanTurn marks a well-formed conversation in which no human speaks.
var errNoHumanTurn = errors.New("no turn from human or user has text")

// parseRecord reads one JSON object. Its errors say what is wrong, without the
// position.
func parseRecord(data []byte) (Prompt, error) {
	if !utf8.Valid(data) {
		return Prompt{}, errors.New("not valid UTF-8: save the file as UTF-8")
	}
	var fields map[string]json.RawMessage
	if kind := kindOf(data); kind != "an object" && json.Valid(data) {
		return Prompt{}, fmt.Errorf("want an object, found %s", kind)
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return Prompt{}, fmt.Errorf("not valid JSON: %w", err)
	}
	p := Prompt{ID: label(fields["id"]), Task: label(fields["task"])}
	var blank string
	for _, name := range promptFields {
		text, err := optionalString(fields, name)
		if err != nil {
			return Prompt{}, err
		}
		if strings.TrimSpace(text) != "" {
			p.Text, err = withInput(name, text, fields)
			return p, err
		}
		if _, ok := fields[name]; ok && blank == "" {
			blank = name
		}
	}
	if turns := fields["conversations"]; present(turns) {
		text, err := firstHumanTurn(turns)
		p.Text = text
		return p, err
	}
	if blank != "" {
		return Prompt{}, fmt.Errorf("%q is empty", blank)
	}
	return Prompt{}, fmt.Errorf("no prompt: want one of %s or conversations; found %s",
		strings.Join(promptFields[:], ", "), foundFields(fields))
}

// withInput joins an instruction with the text it speaks about.
func withInput(name, text string, fields map[string]json.RawMessage) (string, error) {
	if name != "instruction" {
		return text, nil
	}
	input, err := optionalString(fields, "input")
	if err != nil || strings.TrimSpace(input) == "" {
		return text, err
	}
	return text + "\n\n" + input, nil
}

// firstHumanTurn reads the turns of a ShareGPT conversation.
func firstHumanTurn(data json.RawMessage) (string, error) {
	if kind := kindOf(data); kind != "an array" {
		return "", fmt.Errorf(`"conversations" is %s, want an array of {"from": …, "value": …}`, kind)
	}
	var turns []any
	if err := json.Unmarshal(data, &turns); err != nil {
		return "", fmt.Errorf("conversations: %w", err)
	}
	var first string
	for i, turn := range turns {
		from, value, err := readTurn(turn)
		if err != nil {
			return "", fmt.Errorf("turn %d of the conversation %w", i+1, err)
		}
		if human := from == "human" || from == "user"; human && first == "" && strings.TrimSpace(value) != "" {
			first = value
		}
	}
	if first == "" {
		return "", errNoHumanTurn
	}
	return first, nil
}

func readTurn(turn any) (from, value string, err error) {
	fields, ok := turn.(map[string]any)
	if !ok {
		return "", "", errors.New("is not an object")
	}
	if from, ok = fields["from"].(string); !ok || from == "" {
		return "", "", errors.New(`does not say who it is from: want "from": "human" or the like`)
	}
	if value, ok = fields["value"].(string); !ok && fields["value"] != nil {
		return "", "", errors.New(`has a "value" that is not a string`)
	}
	return from, value, nil
}

// optionalString gives the named field, or nothing where it is missing or null.
func optionalString(fields map[string]json.RawMessage, name string) (string, error) {
	raw := fields[name]
	if !present(raw) {
		return "", nil
	}
	if kind := kindOf(raw); kind != "a string" {
		return "", fmt.Errorf("%q is %s, want a string", name, kind)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	return s, nil
}

// label reads an id or task leniently: it only names the prompt.
func label(raw json.RawMessage) string {
	switch kindOf(raw) {
	case "a string":
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case "a number":
		return string(raw)
	}
	return ""
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// kindOf names a JSON value by its first byte.
func kindOf(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func foundFields(fields map[string]json.RawMessage) string {
	const most = 8
	names := slices.Sorted(maps.Keys(fields))
	switch {
	case len(names) == 0:
		return "no fields"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// lineWithin counts the line breaks before the place a syntax error points at,
// for records that run over several lines.
func lineWithin(data []byte, err error) int {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return 0
	}
	return bytes.Count(data[:min(max(int(syntax.Offset)-1, 0), len(data))], []byte{'\n'})
}
