package llem_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// documentList is the list of documents, which the navigation of their site is made from (website/build.py).
const documentList = "docs/README.md"

// documents returns the Markdown files that a reader may come to: those beside README.md, and the files below docs,
// examples, python and bench/results.
func documents(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"docs", "examples", "python", "bench/results"} {
		err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			if err == nil && path.Ext(file) == ".md" {
				all = append(all, filepath.ToSlash(file))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// prose is a document without its blocks of code, as lines: a line of code is empty.
func prose(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced || strings.HasPrefix(line, "    ") {
			lines[i] = ""
		}
		fenced = fenced != fence
	}
	return lines
}

// documentLink matches a link or a picture; the address is its last group.
var documentLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocumentList: the list has each document below docs once, in a row of a table under a heading.
func TestDocumentList(t *testing.T) {
	listed := map[string]int{}
	section := ""
	for _, line := range prose(t, documentList) {
		if strings.HasPrefix(line, "## ") {
			section = line
		}
		row := regexp.MustCompile(`^\| \[[^\]]*\]\(([^)#\s]+)\)`).FindStringSubmatch(line)
		if row != nil && section != "" {
			listed[path.Join("docs", row[1])]++
		}
	}
	for _, file := range documents(t) {
		if !strings.HasPrefix(file, "docs/") || file == documentList {
			continue
		}
		if listed[file] != 1 {
			name := strings.TrimPrefix(file, "docs/")
			t.Errorf("%s is in %d rows of %s, want 1: add \"| [%s](%s) | what it is for |\" to the table of its "+
				"section, from which the site's navigation is made", file, listed[file], documentList, name, name)
		}
	}
}

// anchorOf returns the anchor that a code host, and the site, give to a heading.
func anchorOf(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	var anchor strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ':
			anchor.WriteByte('-')
		case r == '-' || r == '_' || unicode.In(r, unicode.L, unicode.N, unicode.M):
			anchor.WriteRune(r)
		}
	}
	return anchor.String()
}

// TestDocumentLinks: every link of a document leads to a file of the repository and to a heading of it. The site
// has the same folders, so the links work there, too.
func TestDocumentLinks(t *testing.T) {
	anchors := map[string][]string{}
	of := func(file string) []string {
		if anchors[file] == nil {
			for _, line := range prose(t, file) {
				if marks, heading, is := strings.Cut(line, " "); is && marks != "" && strings.Trim(marks, "#") == "" {
					anchors[file] = append(anchors[file], anchorOf(heading))
				}
			}
		}
		return anchors[file]
	}
	for _, file := range documents(t) {
		for i, line := range prose(t, file) {
			for _, m := range documentLink.FindAllStringSubmatch(line, -1) {
				if regexp.MustCompile(`^[a-z]+:`).MatchString(m[1]) {
					continue
				}
				to, anchor, _ := strings.Cut(m[1], "#")
				target := file
				if to != "" {
					target = path.Join(path.Dir(file), to)
				}
				if info, err := os.Stat(target); err != nil || info.IsDir() {
					t.Errorf("%s:%d: %s is not a file", file, i+1, m[1])
				} else if anchor != "" && !slices.Contains(of(target), anchor) {
					t.Errorf("%s:%d: %s has no heading #%s", file, i+1, target, anchor)
				}
			}
		}
	}
}
