package workload

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend/chat"
)

// TestFormats: records in the form of public data sets, and the notes on how they were read.
func TestFormats(t *testing.T) {
	const noted = "%s: the prompt of 1 record is %s"
	tests := []struct {
		name, file, text string
		want             []string
		notes            []string
		messages         chat.Conversation
	}{
		{name: "messages of a chat", file: "a.jsonl",
			text: `{"messages":[{"role":"system","content":"You are"},{"role":"user","content":"Hi there"},` +
				`{"role":"assistant","content":"Hello"}]}`,
			want: []string{"Hi there"},
			notes: []string{fmt.Sprintf(noted, "a.jsonl",
				"the first turn of the user; left out: the system's turn, "+
					"unless workload.chat_template is model")},
			messages: chat.Conversation{{Role: "system", Content: "You are"}, {Role: "user", Content: "Hi there"}}},
		{name: "a message in parts", file: "a.jsonl",
			text: `{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"text",` +
				`"text":"there"}]}]}`,
			want: []string{"Hi\nthere"}, messages: chat.Conversation{{Role: "user", Content: "Hi\nthere"}}},
		{name: "conversations with role and content", file: "a.json",
			text: `[{"id":"c","conversations":[{"role":"user","content":"hello there"}]}]`,
			want: []string{"hello there"}, messages: chat.Conversation{{Role: "user", Content: "hello there"}}},
		{name: "turns", file: "a.jsonl",
			text:     `{"question_id":81,"category":"writing","turns":["Compose a blog post","Rewrite it"]}`,
			want:     []string{"Compose a blog post"},
			notes:    []string{fmt.Sprintf(noted, "a.jsonl", "the first turn of the user; left out: later turns")},
			messages: chat.Conversation{{Role: "user", Content: "Compose a blog post"}}},
		{name: "an instruction with its context", file: "a.jsonl",
			text: `{"instruction":"When did it start?","context":"It began in 2000.","response":"2000",` +
				`"category":"closed_qa"}`,
			want:  []string{"When did it start?\n\nIt began in 2000."},
			notes: []string{fmt.Sprintf(noted, "a.jsonl", "instruction + context")}},
		{name: "a text that holds the answer", file: "a.jsonl",
			text: `{"instruction":"Give tips","input":"","output":"Eat.","text":"Below: Give tips ### Response: ` +
				`Eat."}`,
			want:  []string{"Give tips"},
			notes: []string{fmt.Sprintf(noted, "a.jsonl", "instruction; left out: text")}},
		{name: "a question about a context", file: "a.jsonl", text: `{"question":"Who?","context":"Ada wrote it."}`,
			want:  []string{"Who?\n\nAda wrote it."},
			notes: []string{fmt.Sprintf(noted, "a.jsonl", "question + context")}},
		{name: "numbers as Python writes them", file: "a.jsonl",
			text: `{"prompt":"say NaN","score":NaN,"low":-Infinity}`,
			want: []string{"say NaN"}},
		{name: "no prompt but a text", file: "a.jsonl", text: `{"prompt":null,"text":"fallback"}`,
			want: []string{"fallback"}},
		{name: "byte order mark, carriage returns and a NUL", file: "a.jsonl",
			text: "\ufeff{\"prompt\":\"a\"}\r\n\r\n{\"prompt\":\"b\\u0000\"}\r\n", want: []string{"a", "b\x00"}},
		{name: "special tokens are text", file: "a.jsonl", text: `{"prompt":"<s>hello</s>"}`,
			want: []string{"<s>hello</s>"}},
		{name: "a table", file: "a.csv", text: "\ufeffid,prompt\n1,hello\n2,\"two\nlines, \"\"quoted\"\"\"\n",
			want: []string{"hello", "two\nlines, \"quoted\""}},
		{name: "a table of instructions", file: "a.CSV", text: "instruction,context,response\nShorten.,A tale.,x\n",
			want:  []string{"Shorten.\n\nA tale."},
			notes: []string{fmt.Sprintf(noted, "a.CSV", "instruction + context")}},
		{name: "a table of conversations", file: "a.csv", text: "turns\n\"[\"\"a\"\",\"\"b\"\"]\"\n",
			want: []string{"a"}, messages: chat.Conversation{{Role: "user", Content: "a"}},
			notes: []string{fmt.Sprintf(noted, "a.csv", "the first turn of the user; left out: later turns")}},
		{name: "a compressed file", file: "a.jsonl.gz", text: `{"prompt":"packed"}`, want: []string{"packed"}},
		{name: "a compressed table", file: "a.csv.gz", text: "prompt\npacked\n", want: []string{"packed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeSet(t, tt.file, tt.text)
			set, err := Load(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range set.Prompts {
				got = append(got, p.Text)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("prompts %q, want %q", got, tt.want)
			}
			if notes := set.Notes().Messages(); !slices.Equal(notes, tt.notes) {
				t.Errorf("notes %q, want %q", notes, tt.notes)
			}
			if diff := cmp.Diff(tt.messages, set.Prompts[0].Messages); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFormatMistakes: an unreadable record is reported with its line, and nothing is chosen instead.
func TestFormatMistakes(t *testing.T) {
	tests := []struct{ name, file, text, want string }{
		{"twice", "a.jsonl", `{"prompt":"x","prompt":"y"}`, `a.jsonl:1: "prompt" occurs twice`},
		{"a column twice", "a.csv", "prompt,prompt\nx,y\n", `a.csv:2: the table has two columns "prompt"`},
		{"two in a line", "a.jsonl", `{"prompt":"a"}{"prompt":"b"}`, "a.jsonl:1: not valid JSON"},
		{"a picture", "a.jsonl", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`,
			`a.jsonl:1: turn 1 of the conversation has a part of type "image_url": llem measures text only`},
		{"turns of objects", "a.jsonl", `{"turns":[{"a":1}]}`,
			"a.jsonl:1: turn 1 of the conversation is an object, want a string"},
		{"no quote at the end", "a.csv", "prompt\nx\n\"y\n", "a.csv:3: not valid CSV: extraneous or missing"},
		{"too many columns", "a.csv", "prompt\nx,y\nz\n", "a.csv:2: not valid CSV: wrong number of fields"},
		{"an empty table", "a.csv", "", "a.csv: holds no prompts"},
		{"a table without prompts", "a.csv", "answer\nx\n", "a.csv:2: no prompt: want one of prompt, instruction"},
		{"semicolons", "a.csv", "prompt;id\nx;1\n", "name the columns in the first line, separated by commas"},
		{"Latin 1", "a.csv", "prompt\n\xe4\n", "a.csv:2: not valid UTF-8"},
		{"not compressed", "b.jsonl.gz", "", "not a gzip file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if tt.file == "b.jsonl.gz" {
				if err := os.WriteFile(tt.file, []byte(`{"prompt":"a"}`), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				writeSet(t, tt.file, tt.text)
			}
			if _, err := Load(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestUnpackedIsBounded: a few compressed bytes do not fill the memory.
func TestUnpackedIsBounded(t *testing.T) {
	b := &bounded{strings.NewReader(strings.Repeat("x", 100)), 10}
	var all bytes.Buffer
	if _, err := all.ReadFrom(b); err == nil || all.Len() > 10 {
		t.Errorf("read %d bytes, error %v; want an error after 10", all.Len(), err)
	}
}

// writeSet writes a data set, compressed if its name says so.
func writeSet(t *testing.T, name, text string) {
	t.Helper()
	data := []byte(text)
	if filepath.Ext(name) == ".gz" {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		data = b.Bytes()
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
