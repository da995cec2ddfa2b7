package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

// TestMistakes loads one file per mistake and compares the message word by word.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		if filepath.Ext(file) == ".want" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(filepath.ToSlash(file))
			var mistake *DatasetError
			if !errors.As(err, &mistake) {
				t.Fatalf("Load = %v, want a *DatasetError", err)
			}
			golden := file + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), mistake.Error()+"\n"); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesInSource(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name, source, want string
	}{
		{"empty", "", "no dataset given: use builtin"},
		{"misspelt", "bultin", "dataset bultin: unknown dataset, and no file of that name: use builtin, synthetic"},
		{"hub", "hf:someone/some-set",
			"not available in this version: download it as .jsonl, .json or .csv and give"},
		{"no file", filepath.Join(dir, "none.jsonl"), "none.jsonl: no such file: check workload.dataset"},
		{"folder", dir, "is a folder: give the path of one"},
		{"synthetic", SyntheticSource, "has no text to read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Load(tt.source); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load(%q) = %v, want it to contain %q", tt.source, err, tt.want)
			}
		})
	}
	if _, err := Load(filepath.Join(dir, "none.jsonl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of no file = %v, want it to wrap fs.ErrNotExist", err)
	}
}

func TestUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.jsonl")
	if err := os.WriteFile(path, []byte("{}"), 0o000); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Skip("this user may read every file")
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "check the permissions") {
		t.Errorf("Load = %v, want a hint at the permissions", err)
	}
}

func TestBrokenOff(t *testing.T) {
	for _, text := range []string{`{"prompt":"a"}`, `[{"prompt":"a"},`, `[{"prompt":"a"}]`} {
		cause := errors.New("the disk is gone")
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(cause))
		if set, err := read("x.json", "x.json", r, false); !errors.Is(err, cause) {
			t.Errorf("read of %q = %v, %v; want the cause", text, set, err)
		}
	}
}

func TestRead(t *testing.T) {
	human := func(turns ...string) string { return `{"conversations":[` + strings.Join(turns, ",") + `]}` }
	tests := []struct {
		name, text string
		want       []Prompt
		skipped    []int
	}{
		{name: "each field", text: `{"prompt":"a"}
{"text":"b"}
{"instruction":"c"}
{"input":"d"}
{"question":"e"}`, want: []Prompt{
			{"f:1", "", "a", "f:1", nil, nil}, {"f:2", "", "b", "f:2", nil, nil}, {"f:3", "", "c", "f:3", nil, nil},
			{"f:4", "", "d", "f:4", nil, nil}, {"f:5", "", "e", "f:5", nil, nil},
		}},
		{name: "strongest non-empty field", text: `{"text":"b","prompt":" ","question":"e"}`,
			want: []Prompt{{"f:1", "", "b", "f:1", nil, nil}}},
		{name: "instruction with input", text: `{"instruction":"Shorten.","input":"A long tale.","output":"A tale."}`,
			want: []Prompt{{"f:1", "", "Shorten.\n\nA long tale.", "f:1", nil, nil}}},
		{name: "id and task", text: `{"id":7,"task":"qa","prompt":"a"}` + "\n" + `{"id":"x","task":3,"prompt":"b"}`,
			want: []Prompt{{"7", "qa", "a", "f:1", nil, nil}, {"x", "3", "b", "f:2", nil, nil}}},
		{name: "blank lines, carriage returns, byte order mark",
			text: "\ufeff\r\n \t\r\n{\"prompt\":\"a\"}\r\n\r\n{\"prompt\":\"b\"}\r\n\n",
			want: []Prompt{{"f:3", "", "a", "f:3", nil, nil}, {"f:5", "", "b", "f:5", nil, nil}}},
		{name: "white space of the prompt stays", text: `{"prompt":"  a\n"}`,
			want: []Prompt{{"f:1", "", "  a\n", "f:1", nil, nil}}},
		{name: "array", text: " \n[\n {\"prompt\": \"a ] , [\"},\n\n {\n\"text\": \"b \\\" }\"} ]\n",
			want: []Prompt{{"f:3", "", "a ] , [", "f:3", nil, nil}, {"f:5", "", `b " }`, "f:5", nil, nil}}},
		{name: "first human turn",
			text: human(`{"from":"system","value":"s"}`, `{"from":"human","value":"a"}`, `{"from":"gpt","value":"b"}`,
				`{"from":"human","value":"c"}`),
			want: []Prompt{{"f:1", "", "a", "f:1", nil, nil}}},
		{name: "user turn", text: human(`{"from":"gpt","value":"b"}`, `{"from":"user","value":" "}`,
			`{"from":"user","value":"c"}`),
			want: []Prompt{{"f:1", "", "c", "f:1", nil, nil}}},
		{name: "conversations without human",
			text: "[" + human() + ",\n" + human(`{"from":"gpt","value":"b"}`) + ",\n" +
				human(`{"from":"human","value":"c"}`) + "]",
			want: []Prompt{{"f:3", "", "c", "f:3", nil, nil}}, skipped: []int{1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := read("f", "f", strings.NewReader(tt.text), false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&Set{Source: "f", Prompts: tt.want, Skipped: tt.skipped}, set,
				cmpopts.IgnoreUnexported(Set{}),
				cmpopts.IgnoreFields(Prompt{}, "Messages")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	set := &Set{Source: "chats.json", Prompts: make([]Prompt, 8)}
	if got := set.Notes(); got != nil {
		t.Errorf("nothing skipped: %q", got)
	}
	set.Skipped = []int{4, 9}
	want := []string{"chats.json: 2 of 10 conversations left out: no turn from human or user has text " +
		"(first at line 4)"}
	if got := set.Notes().Messages(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRecordLimit(t *testing.T) {
	const frame = `{"prompt":""}`
	text := `{"prompt":"` + strings.Repeat("a", maxRecord-len(frame)) + `"}`
	if set, err := read("f", "f", strings.NewReader(text+"\r\n"), false); err != nil || len(set.Prompts) != 1 {
		t.Errorf("a record of %d bytes: %.200v", maxRecord, err)
	}

	const limit = 100
	longest := strings.Repeat("a", limit)
	tooLong := strings.Repeat("a", 1<<17) // more than the read buffer
	const problem = "record is longer than 100 bytes"
	for _, text := range []string{
		longest + "\n  " + longest + "  \r\n" + longest + "b\n" + tooLong + "\n\nb",
		"[" + longest + ",\n  " + longest + "  \r,\n" + longest + "b,\n" + tooLong + "\n\n,b]",
	} {
		type short struct {
			Line, Size int
			Problem    string
		}
		want := []short{{1, limit, ""}, {2, limit, ""}, {3, 0, problem}, {4, 0, problem}, {6, 1, ""}}
		var got []short
		scan := newScanner(strings.NewReader(text), limit)
		for scan.next() {
			rec := scan.record()
			got = append(got, short{rec.line, len(rec.data), rec.problem})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("text that starts with %q (-want +got):\n%s", text[0], diff)
		}
	}
}

func TestSelect(t *testing.T) {
	set := &Set{Source: "f", Prompts: []Prompt{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	got, err := set.Select(2, 0)
	if err != nil || len(got) != 2 || got[0].ID != "a" || got[1].ID != "b" || cap(got) != 2 {
		t.Errorf("Select(2) = %v, %v", got, err)
	}
	if got, err := set.Select(3, 0); err != nil || len(got) != 3 {
		t.Errorf("Select(3) = %v, %v", got, err)
	}
	for n, want := range map[int]string{
		4: "dataset f: has 3 prompts, 4 asked for: lower -n or workload.prompts to 3, give a larger file, or use " +
			"dataset: synthetic",
		0: "dataset f: 0 prompts asked for: set -n or workload.prompts to 1 or more",
	} {
		if _, err := set.Select(n, 0); err == nil || err.Error() != want {
			t.Errorf("Select(%d) = %v\nwant %s", n, err, want)
		}
	}
}

// FuzzRead checks that nothing is lost: each record is a prompt, a bad line or a skipped conversation, and invalid
// JSON is never accepted.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/mistakes/*.json*")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte("[]"))
	f.Add([]byte(" [ {\"prompt\":\"a\"} , {\"conversations\":[]}\n]\n"))
	f.Add([]byte("[{\"prompt\":\"a\"}\f]"))
	f.Add([]byte("{\"prompt\":\"\\ud800\"}\n\n\"[{]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := read("f", "f", bytes.NewReader(data), false)
		got := 0
		if err != nil {
			var mistake *DatasetError
			if !errors.As(err, &mistake) {
				t.Fatalf("error %T from a reader that cannot fail: %v", err, err)
			}
			got = len(mistake.Problems) + mistake.More
		} else {
			got = len(set.Prompts) + len(set.Skipped)
		}
		text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		var array []any
		switch {
		case bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("[")):
			valid := json.Unmarshal(text, &array) == nil
			if err == nil && (!valid || got != len(array)) {
				t.Errorf("%d of %d elements accepted, valid JSON: %v", got, len(array), valid)
			}
		default:
			records := 0
			for line := range bytes.Lines(text) {
				line = bytes.TrimSpace(line)
				if len(line) == 0 {
					continue
				}
				records++
				if err == nil && !json.Valid(line) {
					t.Errorf("line accepted that is not JSON: %q", line)
				}
			}
			if err == nil && got != records {
				t.Errorf("%d of %d lines accounted for", got, records)
			}
		}
		if err == nil {
			for _, p := range set.Prompts {
				if strings.TrimSpace(p.Text) == "" || p.ID == "" || p.Origin == "" {
					t.Errorf("prompt without text or name: %+v", p)
				}
			}
		}
	})
}
