package workload

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// readCSV reads the prompts of a table whose first line names the columns, which are the fields of each record.
func readCSV(path string, r io.Reader, talks bool) (*Set, error) {
	set := &Set{Source: path, talks: talks}
	mistakes := wrong(path, nil, "name the columns in the first line, separated by commas, such as prompt or "+
		"instruction,context; correct these lines or remove them", "")
	table := csv.NewReader(r)
	table.ReuseRecord = true
	header, err := table.Read()
	switch e, malformed := errors.AsType[*csv.ParseError](err); {
	case errors.Is(err, io.EOF):
		return nil, noPrompts(set)
	case malformed:
		mistakes.add(e.StartLine, "not valid CSV: "+e.Err.Error())
		return set.whole(mistakes)
	case err != nil:
		return nil, unreadable(path, err)
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	for {
		row, err := table.Read()
		switch e, malformed := errors.AsType[*csv.ParseError](err); {
		case errors.Is(err, io.EOF):
			return set.whole(mistakes)
		case malformed:
			mistakes.add(e.StartLine, "not valid CSV: "+e.Err.Error())
			if !errors.Is(err, csv.ErrFieldCount) {
				return set.whole(mistakes) // the start of the next row is unknown
			}
			continue
		case err != nil:
			return nil, unreadable(path, err)
		}
		line, _ := table.FieldPos(0)
		p, made, err := parseRow(header, row)
		if err := set.add(p, made, fmt.Sprintf("%s:%d", path, line), line, err); err != nil {
			mistakes.add(line, err.Error())
		}
	}
}

// parseRow reads one row of a table as a record of texts.
func parseRow(header, row []string) (Prompt, choice, error) {
	fields := map[string]json.RawMessage{}
	size := 0
	for i, name := range header {
		if size += len(row[i]); size > maxRecord {
			return Prompt{}, choice{}, fmt.Errorf("record is longer than %d bytes", maxRecord)
		}
		if !utf8.ValidString(row[i]) {
			return Prompt{}, choice{}, errors.New("not valid UTF-8: save the file as UTF-8")
		}
		if _, twice := fields[name]; twice && makesPrompt(name) {
			return Prompt{}, choice{}, fmt.Errorf("the table has two columns %q: keep one of the two", name)
		}
		text, err := json.Marshal(row[i])
		if err != nil {
			return Prompt{}, choice{}, err
		}
		if fields[name] = text; row[i] == "" || isTalk(name) && json.Valid([]byte(row[i])) {
			fields[name] = json.RawMessage(row[i])
		}
	}
	return promptOf(fields)
}

// isTalk reports whether a column holds conversations, as JSON.
func isTalk(name string) bool {
	return slices.ContainsFunc(talks[:], func(t talk) bool { return t.field == name })
}
