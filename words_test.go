package llem_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// phrase is a phrase that this project does not use, with a replacement.
type phrase struct {
	has    string // what every line with the phrase has, in small letters: most lines need no regular expression
	now    string // a regular expression without regard to case
	better string
}

// phrases lists phrases that are hard to read. The glossary is docs/glossary.md.
var phrases = []phrase{
	{"on with", `\b(go|goes|going|gone|went) on with\b`, "continue, resume"},
	{"anew", `\banew\b`, "again"},
	{"mend", `\b(mend|mends|mended|mending)\b`, "fix"},
	{" no ", `\b(is|are|was|were|be) no (?:number|[a-z]+)\b`, "is not a"},
	{"those ", `\bthose (?:of|that|which|whose|by|with|in|from)\b`, "repeat the noun"},
	{"that of", `\bthat of\b`, "repeat the noun"},
	{" that", `\b(say|says|said|saying) that\b`, "reports that, marks"},
	{"//", `^\s*//\s+[A-Za-z.]+ (says|tells)\b`, "reports, returns"},
	{" made", `\bruns? (?:is|are|was|were) made\b`, "run, measured"},
	{"stand", `\bstands? (?:behind|above|beside|below|beneath|in the way|in for)\b`, "name the relation plainly"},
	{"stood", `\bstood (?:behind|above|beside|below|beneath|in the way|in for)\b`, "name the relation plainly"},
	{"otherwise than", `\botherwise than\b`, "differently from"},
	{"against", `\b(hold|holds|held) [a-z ]*against\b`, "compare"},
	{"of which", `\bof which (?:no|each|every|one|all|some)\b`, "whose, start a new sentence"},
	{"in vain", `\bin vain\b`, "without success"},
	{"by its own", `\bby its own(?:[.,;:)]|$)`, "itself"},
}

// fine are uses of these words that are plain English, and a message of stored results that docs/example-output.md
// prints.
var fine = regexp.MustCompile(`(?i)\b(there|here) (is|are|was|were) no\b|\b(is|are|was|were) no ` +
	`(longer|more|fewer|less|worse|better)\b|` +
	`its energy are those of the shape`)

// stored reports whether a file holds recorded or generated output.
func stored(file string) bool {
	for _, folder := range []string{"bench/results/", "testdata/stored/", "docs/gallery/"} {
		if strings.HasPrefix(file, folder) {
			return true
		}
	}
	return false
}

// TestWords checks that the repository's text is plain technical English: it uses no phrase of the list.
func TestWords(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "ls-files", "-z", "--", "*.go", "*.md", "*.py", "*.sh", "*.yaml", "*.yml",
		"*.txtar", "*.txt", "*.golden", "Makefile", ".ci/*").Output()
	if err != nil {
		t.Skipf("words: git ls-files: %v", err)
	}
	all := make([]*regexp.Regexp, len(phrases))
	for i, p := range phrases {
		all[i] = regexp.MustCompile(`(?i)` + p.now)
	}
	for file := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if file == "words_test.go" || stored(file) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		for n, line := range strings.Split(string(text), "\n") {
			small := strings.ToLower(line)
			for i, re := range all {
				if !strings.Contains(small, phrases[i].has) {
					continue
				}
				if found := re.FindString(fine.ReplaceAllString(line, "")); found != "" {
					t.Errorf("%s:%d: %q (better: %s): %s", file, n+1, strings.TrimSpace(found), phrases[i].better,
						strings.TrimSpace(line))
				}
			}
		}
	}
}
