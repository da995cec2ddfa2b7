// Package page writes the report of a study as one HTML file, from the study's folder alone.
//
// The file needs no network and opens from disk. It is complete without JavaScript: the tables and the figures, drawn
// by package figure, are in it as text and SVG. The script that comes with it sorts, filters, draws any two metrics
// and zooms into the power of a run. A content security policy allows this script and no other, and every text of a
// study is escaped.
package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/result"
)

//go:embed page.css
var style string

//go:embed page.js
var script string

//go:embed page.html
var text string

// Options are what a page states beside the study.
type Options struct {
	// Version of llem.
	Version string
	// StudyFile is the text of the study file; Facts describe the machine.
	StudyFile string
	Facts     []Fact
}

// Fact is a line about how the study was measured.
type Fact struct{ Name, Value string }

// Write writes the page of a study.
func Write(w io.Writer, s *result.StudyResult, o Options) error {
	m, err := newModel(s, o)
	if err != nil {
		return err
	}
	t, err := template.New("study.html").Funcs(template.FuncMap{"code": code}).Parse(text)
	if err != nil {
		return fmt.Errorf("read the template of the page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, m); err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// model is what the template prints.
type model struct {
	Version, Name, Answer, Subtitle string
	// Others are the answers for the other configurations of a study with loads.
	Others                []string
	Style                 template.CSS
	Script                template.JS
	StyleHash, ScriptHash string
	// Marks qualify every number of the page, such as simulated.
	Marks    []string
	Sections []section

	Caption string
	Heads   []head
	Rows    []row
	LeftOut string
	Missing []string

	Pareto        template.HTML
	ParetoCaption string
	Facets        []facet
	Phases        template.HTML
	Joules        *joules
	Latencies     []drawn
	Times         *times
	Power         template.HTML
	PowerCaption  string
	PowerNote     string
	// Marks of the first run: what happened when, and what has no time.
	PowerMarks, PowerOthers []string
	Course                  []drawn

	Comparisons    []comparison
	CompareCaption string

	Doubts    []doubt
	Facts     []Fact
	SelfTest  tested
	StudyFile string
	Command   string
	Recompute string
	Cite      string
	Data      template.JS
}

type section struct{ ID, Title string }

type head struct{ Label, Meaning string }

type row struct {
	ID    string
	Front bool
	Cells []cell
}

type cell struct {
	Value, Interval, Flags string
	Sort                   string
	Text                   bool
}

type drawn struct {
	SVG     template.HTML
	Caption string
}

type comparison struct{ A, B, Answer, P string }

type doubt struct {
	Code, Message, Runs, Meaning, Effect string

	weight int
}

// code escapes a text, and marks what stands between backticks as code.
func code(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		out.WriteString(part)
	}
	return template.HTML(out.String()) //nolint:gosec // escaped above
}

// hash is a source of the content security policy.
func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// newModel collects everything that the page shows.
func newModel(s *result.StudyResult, o Options) (*model, error) {
	b := builder{StudyResult: s, model: model{Version: o.Version,
		Name: cmp.Or(s.Name, filepath.Base(s.Dir)), Facts: o.Facts, StudyFile: o.StudyFile,
		Style: template.CSS(style), Script: template.JS(script), //nolint:gosec // files of this package
		StyleHash: hash(style), ScriptHash: hash(script)}}
	b.prepare()
	b.subtitle()
	b.table()
	if err := b.answer(); err != nil {
		return nil, err
	}
	data := b.data()
	b.facets(&data)
	if err := b.figures(&data); err != nil {
		return nil, err
	}
	if err := b.compare(); err != nil {
		return nil, err
	}
	b.doubts()
	if err := b.how(o); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(data) // with < and > as \u003c: safe inside a script element
	if err != nil {
		return nil, fmt.Errorf("encode the data of the page: %w", err)
	}
	b.model.Data = template.JS(encoded) //nolint:gosec // JSON
	b.sections()
	return &b.model, nil
}
