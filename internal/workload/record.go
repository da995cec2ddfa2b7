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

	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/pyjson"
)

// Fields that may hold the prompt or a part of it.
const (
	fieldPrompt      = "prompt"
	fieldText        = "text"
	fieldInstruction = "instruction"
	fieldInput       = "input"
	fieldContext     = "context"
	fieldQuestion    = "question"
)

// promptFields are the fields that may hold the prompt, in order of precedence. The text of an instruction record
// also contains the answer, so the instruction precedes it.
var promptFields = [...]string{fieldPrompt, fieldInstruction, fieldText, fieldInput, fieldQuestion}

// talks are the fields that hold a conversation, in order of precedence.
var talks = [...]talk{
	{"messages", `{"role": …, "content": …}`, readMessages},
	{"conversations", `{"from": …, "value": …}`, readMessages},
	{"turns", "strings", readTurns},
}

// talk is a field that holds a conversation: the type of its elements, and how they are read.
type talk struct {
	field, want string
	read        func([]json.RawMessage) (chat.Conversation, error)
}

// errNoHumanTurn marks a well-formed conversation in which no human speaks.
var errNoHumanTurn = errors.New("no turn from human or user has text")

// choice is how the prompt of a record was made, if another reader of the data set might have made it differently:
// the fields that were used, and the fields that were left out.
type choice struct{ used, left string }

// parseRecord reads one JSON object. Its errors describe the problem, without the position.
func parseRecord(data []byte) (Prompt, choice, error) {
	if !utf8.Valid(data) {
		return Prompt{}, choice{}, errors.New("not valid UTF-8: save the file as UTF-8")
	}
	fields, err := readFields(pyjson.Plain(data))
	if err != nil {
		return Prompt{}, choice{}, err
	}
	return promptOf(fields)
}

// readFields reads the fields of a JSON object. A field that could be the prompt and occurs twice is a mistake:
// JSON readers differ in which of the two they take.
func readFields(data []byte) (map[string]json.RawMessage, error) {
	if kind := kindOf(data); kind != "an object" && json.Valid(data) {
		return nil, fmt.Errorf("want an object, found %s", kind)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	seen := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not valid JSON: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("not valid JSON: %w", err)
		}
		key, _ := name.(string)
		if seen[key] && makesPrompt(key) {
			return nil, fmt.Errorf("%q occurs twice: keep one of the two", key)
		}
		seen[key] = true
	}
	return fields, nil
}

// makesPrompt reports whether a field can be the prompt or a part of it.
func makesPrompt(name string) bool {
	return slices.Contains(promptFields[:], name) || name == fieldContext || isTalk(name)
}

// promptOf makes the prompt of a record from its fields.
func promptOf(fields map[string]json.RawMessage) (Prompt, choice, error) {
	p := Prompt{ID: label(fields["id"]), Task: label(fields["task"])}
	if p.ID == "" {
		p.ID = label(fields["question_id"])
	}
	if p.Task == "" {
		p.Task = label(fields["category"])
	}
	var blank string
	for _, name := range promptFields {
		text, err := optionalString(fields, name)
		if err != nil {
			return Prompt{}, choice{}, err
		}
		if strings.TrimSpace(text) != "" {
			var made choice
			p.Text, made, err = withContext(name, text, fields)
			return p, made, err
		}
		if _, ok := fields[name]; ok && blank == "" {
			blank = name
		}
	}
	for _, t := range talks {
		if raw := fields[t.field]; present(raw) {
			all, err := t.messages(raw)
			if err != nil {
				return p, choice{}, err
			}
			var made choice
			p.Messages, made = firstOfUser(all)
			p.Text = p.Messages[len(p.Messages)-1].Content
			for _, m := range all {
				if ofUser(m) {
					p.Turns = append(p.Turns, m.Content)
				}
			}
			return p, made, nil
		}
	}
	if blank != "" {
		return Prompt{}, choice{}, fmt.Errorf("%q is empty", blank)
	}
	return Prompt{}, choice{}, fmt.Errorf("no prompt: want one of %s, messages, conversations or turns; found %s",
		strings.Join(promptFields[:], ", "), foundFields(fields))
}

// withContext joins a prompt with the text that it refers to: the input of an instruction, or the context of an
// instruction or a question.
func withContext(name, text string, fields map[string]json.RawMessage) (string, choice, error) {
	made := choice{used: name}
	add := func(field string) error {
		more, err := optionalString(fields, field)
		if err != nil || strings.TrimSpace(more) == "" {
			return err
		}
		text += "\n\n" + more
		made.used += " + " + field
		return nil
	}
	if name == fieldInstruction {
		if err := add(fieldInput); err != nil {
			return "", made, err
		}
	}
	if name == fieldInstruction || name == fieldQuestion {
		if err := add(fieldContext); err != nil {
			return "", made, err
		}
	}
	made.left = leftOut(made.used, fields)
	return text, made, nil
}

// leftOut returns the fields that could have been the prompt or a part of it and were not used.
func leftOut(used string, fields map[string]json.RawMessage) string {
	taken := strings.Split(used, " + ")
	var left []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if makesPrompt(name) && !slices.Contains(taken, name) && !empty(fields[name]) {
			left = append(left, name)
		}
	}
	return strings.Join(left, ", ")
}

// empty reports whether a value has no content.
func empty(raw json.RawMessage) bool {
	if !present(raw) || string(raw) == "[]" {
		return true
	}
	return kindOf(raw) == "a string" && strings.TrimSpace(stringOf(raw)) == ""
}

const roleUser = "user"

// messages reads a conversation in which the user says something; turns without text are left out.
func (t talk) messages(data json.RawMessage) (chat.Conversation, error) {
	if kind := kindOf(data); kind != "an array" {
		return nil, fmt.Errorf(`%q is %s, want an array of %s`, t.field, kind, t.want)
	}
	var turns []json.RawMessage
	if err := json.Unmarshal(data, &turns); err != nil {
		return nil, fmt.Errorf("%s: %w", t.field, err)
	}
	all, err := t.read(turns)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(m chat.Message) bool { return strings.TrimSpace(m.Content) == "" })
	if !slices.ContainsFunc(all, ofUser) {
		return nil, errNoHumanTurn
	}
	return all, nil
}

func ofUser(m chat.Message) bool { return m.Role == roleUser }

// firstOfUser returns a conversation up to the first turn of the user, with the system's turn before it, and what
// was left out besides the answers.
func firstOfUser(all chat.Conversation) (chat.Conversation, choice) {
	i := slices.IndexFunc(all, ofUser)
	first := slices.DeleteFunc(slices.Clone(all[:i+1]), func(m chat.Message) bool {
		return !ofUser(m) && m.Role != "system" && m.Role != "developer"
	})
	var left []string
	if len(first) > 1 {
		left = append(left, "the system's turn, unless workload.chat_template is model")
	}
	if slices.ContainsFunc(all[i+1:], ofUser) {
		left = append(left, "later turns")
	}
	if len(left) == 0 {
		return first, choice{}
	}
	return first, choice{used: "the first turn of the user", left: strings.Join(left, ", ")}
}

// readTurns reads a conversation that contains only the user's turns.
func readTurns(turns []json.RawMessage) (chat.Conversation, error) {
	var out chat.Conversation
	for i, raw := range turns {
		var text string
		if kindOf(raw) != "a string" || json.Unmarshal(raw, &text) != nil {
			return nil, fmt.Errorf("turn %d of the conversation is %s, want a string", i+1, kindOf(raw))
		}
		out = append(out, chat.Message{Role: roleUser, Content: text})
	}
	return out, nil
}

// readMessages reads a conversation whose turns name their speaker.
func readMessages(turns []json.RawMessage) (chat.Conversation, error) {
	var out chat.Conversation
	for i, raw := range turns {
		m, err := readMessage(raw)
		if err != nil {
			return nil, fmt.Errorf("turn %d of the conversation %w", i+1, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// readMessage reads one turn in either of its two common forms: role and content, or from and value.
func readMessage(raw json.RawMessage) (chat.Message, error) {
	var fields map[string]json.RawMessage
	if kindOf(raw) != "an object" || json.Unmarshal(raw, &fields) != nil {
		return chat.Message{}, errors.New("is not an object")
	}
	role, content := stringOf(fields["role"]), fields["content"]
	if role == "" {
		role, content = stringOf(fields["from"]), fields["value"]
	}
	if role == "" {
		return chat.Message{}, errors.New(`does not name its speaker: want "role": "user" or "from": "human" ` +
			"or similar")
	}
	if role == "human" {
		role = roleUser
	}
	text, err := contentOf(content)
	return chat.Message{Role: role, Content: text}, err
}

// contentOf reads the content of a turn: a string, or the text parts of a list of parts.
func contentOf(raw json.RawMessage) (string, error) {
	var text string
	switch kindOf(raw) {
	case "nothing", "null":
		return "", nil
	case "a string":
		if json.Unmarshal(raw, &text) == nil {
			return text, nil
		}
	case "an array":
		var parts []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		if json.Unmarshal(raw, &parts) != nil {
			break
		}
		var all []string
		for _, p := range parts {
			if p.Type != fieldText {
				return "", fmt.Errorf("has a part of type %q: llem measures text only", p.Type)
			}
			all = append(all, p.Text)
		}
		return strings.Join(all, "\n"), nil
	}
	return "", fmt.Errorf(`has a "content" or "value" that is %s, want a string`, kindOf(raw))
}

// optionalString returns the named field, or nothing if it is missing or null.
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
	if kindOf(raw) == "a number" {
		return string(raw)
	}
	return stringOf(raw)
}

// stringOf returns a string, or nothing for any other value.
func stringOf(raw json.RawMessage) string {
	var s string
	if kindOf(raw) != "a string" || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
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

// lineWithin returns the number of line breaks before the position of a syntax error, for records that span
// several lines.
func lineWithin(data []byte, err error) int {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return 0
	}
	return bytes.Count(data[:min(max(int(syntax.Offset)-1, 0), len(data))], []byte{'\n'})
}
