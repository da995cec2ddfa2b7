package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/llenergymeasure/llem/cmd/llem/internal/page"
	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/verdict"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/scrub"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// card is what the card of a data set is written from.
type card struct {
	*result.StudyResult
	dir     string
	name    string // USER/NAME
	license string
	verdict *verdict.Verdict
	copy    *scrub.Copy
	figure  bool
	series  []struct{ name, rows string }
}

// seriesFiles are the Parquet files of a run, each with what its rows are.
var seriesFiles = []struct{ name, rows string }{
	{"power", "readings of the power sensors"},
	{"counters", "readings of the energy counters"},
	{"telemetry", "temperature, clocks and memory of the devices"},
	{"requests", "requests, with the stamps of their tokens"},
	{"steps", "steps of the engine"},
}

// findSeries finds the series that any run has rows of: a configuration without rows cannot be loaded.
func (c *card) findSeries() {
	for _, s := range seriesFiles {
		if slices.ContainsFunc(c.copy.Files, func(name string) bool {
			return strings.HasPrefix(name, result.RunsDir+"/") && path.Base(name) == s.name+".parquet" &&
				hasRows(filepath.Join(c.dir, filepath.FromSlash(name)))
		}) {
			c.series = append(c.series, s)
		}
	}
}

// hasRows reports whether a Parquet file has any row.
func hasRows(name string) bool {
	in, err := disk.Open(name, disk.Unbounded)
	if err != nil {
		return false
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return false
	}
	file, err := parquet.OpenFile(in, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	return err == nil && file.NumRows() > 0
}

// head is the front matter: what the hub and the datasets library read.
func (c *card) head() string {
	var b strings.Builder
	b.WriteString("---\n")
	if c.license != "" {
		fmt.Fprintf(&b, "license: %s\n", c.license)
	}
	fmt.Fprintf(&b, "pretty_name: %s\n", quoted(c.title()))
	b.WriteString("tags:\n- llem\n- energy\n- benchmark\n- llm-inference\n")
	b.WriteString("configs:\n- config_name: runs\n  data_files: " + runsFile + "\n  default: true\n")
	for _, s := range c.series {
		fmt.Fprintf(&b, "- config_name: %s\n  data_files: %s/*/%s.parquet\n", s.name, result.RunsDir, s.name)
	}
	return b.String() + "---\n"
}

// quoted is a text as a value of YAML.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(out)
}

// title is the head of the card.
func (c *card) title() string {
	name := c.Name
	if name == "" {
		_, name, _ = strings.Cut(c.name, "/")
	}
	return "Energy of LLM inference: " + name
}

// text is the whole card.
func (c *card) text() ([]byte, error) {
	c.findSeries()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# %s\n\n%s\n\n", c.head(), plain(c.title()), plain(c.answer()))
	if c.figure {
		fmt.Fprintf(&b, "![chart of the study](%s)\n\n", figureFile)
	}
	if err := (report.Terminal{}).Markdown(&b, c.StudyResult); err != nil {
		return nil, fmt.Errorf("write the table of the card: %w", err)
	}
	c.method(&b)
	c.recompute(&b)
	c.loading(&b)
	c.scrubbed(&b)
	return sealed(b.Bytes()), nil
}

// answer is the sentence that comes first.
func (c *card) answer() string {
	return view.Answer(c.StudyResult, view.NameConfigurations(c.StudyResult))
}

// method describes how the numbers were measured.
func (c *card) method(b *bytes.Buffer) {
	b.WriteString("\n## How it was measured\n\n")
	fmt.Fprintf(b, "[llem](https://github.com/llenergymeasure/llem) %s ran %s of %s with a fixed workload "+
		"and read the "+
		"power of the devices meanwhile.\n\n", plain(orUnknown(c.verdict.MeasuredWith)),
		digits.Count(len(c.Rows), "run"), digits.Count(len(c.Experiments), "configuration"))
	fact := func(name, text string) {
		if text = strings.TrimSpace(text); text != "" {
			fmt.Fprintf(b, "- %s: %s\n", name, plain(text))
		}
	}
	var engines []string
	for _, e := range c.Experiments {
		if text := strings.TrimSpace(e.Config.Backend + " " + e.Version); !slices.Contains(engines, text) {
			engines = append(engines, text)
		}
	}
	fact("engine", strings.Join(engines, ", "))
	fact("energy", c.verdict.Origin())
	if text, err := disk.ReadFile(filepath.Join(c.dir, store.EnvFile), disk.MaxSmall); err == nil {
		var machine host.Snapshot
		if json.Unmarshal(text, &machine) == nil {
			for _, f := range page.MachineFacts(&machine) {
				if f.Name != "measured with" { // it is in the first sentence
					fact(f.Name, f.Value)
				}
			}
		}
	}
	if !c.Finished.IsZero() {
		fact("finished", c.Finished.UTC().Format("2 January 2006"))
	}
	fact("self-test of the sensors", c.verdict.SelfTestText())
	b.WriteString("\n`study.yaml` has every setting, `env.json` the machine, and `runs/*/result.json` every " +
		"number with " +
		"its unit.\n")
}

func orUnknown(version string) string {
	if version == "" {
		return "(unknown version)"
	}
	return version
}

// recompute describes how a reader checks the numbers.
func (c *card) recompute(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## Check the numbers\n\n```\nllem verify hf:%s\n```\n\n", c.name)
	b.WriteString("computes every number again from the raw files and compares all files with their " +
		"checksums. Before " +
		"the study was sent, the outcome was:\n\n```\n" + strings.TrimRight(c.verdict.Text(0), "\n") + "\n```\n\n")
	fmt.Fprintf(b, "`llem pull hf:%s` fetches the folder; `llem report` and `llem compare` read it.\n", c.name)
}

// loading describes how the tables are loaded.
func (c *card) loading(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## Load the tables\n\n```python\nfrom datasets import load_dataset\n\n"+
		"runs = load_dataset(%q, split=\"train\")\n", c.name)
	if all := c.series; len(all) > 0 {
		fmt.Fprintf(b, "%s = load_dataset(%q, %q, split=\"train\")\n", all[0].name, c.name, all[0].name)
	}
	b.WriteString("```\n\n`runs` has one row per run, with a column for each metric")
	for _, s := range c.series {
		fmt.Fprintf(b, "; `%s` has the %s", s.name, s.rows)
	}
	fmt.Fprintf(b, ".\nThe series of one run are in the folder that the column `run` of `runs` names.\n")
}

// scrubbed lists what was replaced.
func (c *card) scrubbed(b *bytes.Buffer) {
	if len(c.copy.Replaced) == 0 {
		return
	}
	b.WriteString("\n## Replaced texts\n\nWhat names the machine or its users, and secrets, were replaced before " +
		"the study was sent:\n\n")
	for _, f := range c.copy.Replaced {
		fmt.Fprintf(b, "- %s\n", plain(findingText(f)))
	}
	fmt.Fprintf(b, "\nThe manifests are of this copy; `%s` has the SHA-256 checksums of the files as they were "+
		"measured.\n", scrub.File)
}

// findingText describes what was replaced.
func findingText(f scrub.Finding) string {
	with := f.With
	if with == "" {
		with = "nothing"
	}
	return fmt.Sprintf("%s → %s, %s in %s", f.What, with, digits.Times(f.Times), digits.Count(f.Files, "file"))
}

// plain is a text within Markdown that cannot be taken for markup.
func plain(text string) string {
	return strings.NewReplacer("<", "&lt;", "\n", " ", "|", "\\|", "`", "'", "[", "\\[", "*", "\\*", "_",
		"\\_").Replace(text)
}

// seal is the last line of a card: the checksum of the text before it.
var seal = regexp.MustCompile(`<!-- written by llem push; SHA-256 of the text above: ([0-9a-f]{64}) -->\n$`)

// sealed adds the last line.
func sealed(text []byte) []byte {
	text = append(text, '\n')
	return fmt.Appendf(text, "<!-- written by llem push; SHA-256 of the text above: %s -->\n", disk.Sum(text))
}

// untouched reports whether a card is as push wrote it.
func untouched(text []byte) bool {
	m := seal.FindSubmatchIndex(text)
	if m == nil {
		return false
	}
	return disk.Sum(text[:m[0]]) == string(text[m[2]:m[3]])
}

// Sizes of the figure of a card, in mm and points.
const (
	figureWidth  = 178
	figureHeight = 90
	figureFont   = 9
)

// draw draws the figure of the card: the front of several configurations, or the power of a run. A study that has
// neither has no figure.
func draw(s *result.StudyResult) []byte {
	kinds := []string{picture.Pareto, picture.PowerChart}
	if len(s.Experiments) < 2 {
		kinds = kinds[1:]
	}
	for _, kind := range kinds {
		p, err := picture.New(kind, s, picture.Options{})
		if err != nil {
			continue
		}
		var out bytes.Buffer
		style := figure.Style{WidthMM: figureWidth, HeightMM: figureHeight, FontPt: figureFont}
		if p.Draw(style).SVG(&out) == nil {
			return out.Bytes()
		}
	}
	return nil
}

// licensePattern matches the identifiers of licenses on the hub.
var licensePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,40}$`)

// checkLicense refuses what cannot be a license.
func checkLicense(license string) error {
	if license == "" || licensePattern.MatchString(license) {
		return nil
	}
	return &Error{"--license " + strconv.Quote(license) + " is not the identifier of a license",
		"use one of the hub's, such as cc-by-4.0, cc0-1.0, apache-2.0 or mit"}
}
