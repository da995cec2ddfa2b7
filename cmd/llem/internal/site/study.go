package site

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/page"
	"github.com/llenergymeasure/llem/cmd/llem/internal/recheck"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Limits of the search for studies, and of what is published.
const (
	maxDepth     = 6
	maxStudyFile = 64 << 10 // of the study file in a report, in bytes
	maxScanned   = 64 << 20 // of a raw file that is searched for secrets, in bytes
)

// find returns the folders of the studies below folders. Links are not followed, nor hidden folders entered.
func find(dirs []string) (found []string, err error) {
	for _, dir := range dirs {
		if why := disk.NoFolder(dir); why != "" {
			return nil, &Error{why, "give folders with studies, such as the -o of `llem run`"}
		}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, p)
			switch {
			case err != nil:
				return err
			case d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || strings.Count(rel, "/") >= maxDepth):
				return fs.SkipDir
			case d.Type().IsRegular() && (d.Name() == store.JournalFile || d.Name() == result.SummaryFile):
				found = append(found, filepath.Dir(p))
				return fs.SkipDir // the rest of this study
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("search %s for studies: %w", dir, err)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// builder collects a site.
type builder struct {
	Options
	dir  string // that is written
	made *Made
	rows []row
	seen map[string]bool // studies, by their files' sums
	// private are names of this machine and its user, which pages do not show.
	private []string
}

// number is a cell of the leaderboard: NaN is unknown.
type number struct {
	Value          float64
	Text, Interval string
}

// Sort is the value as the script reads it.
func (n number) Sort() string {
	if math.IsNaN(n.Value) {
		return ""
	}
	return strconv.FormatFloat(n.Value, 'g', 9, 64)
}

func compareValues(a, b number) int {
	switch {
	case math.IsNaN(a.Value) && math.IsNaN(b.Value):
		return 0
	case math.IsNaN(a.Value):
		return 1
	case math.IsNaN(b.Value) || a.Value < b.Value:
		return -1
	case a.Value > b.Value:
		return 1
	}
	return 0
}

// row is a configuration in the leaderboard.
type row struct {
	Class, Provenance, Scope                        string
	Study, Label, GPU, Model, Engine, DType, Batch  string
	Work, Date                                      string
	Energy, Net, Node, Speed, TTFT, TTFT99          number
	Runs                                            int
	Cautions                                        int
	CautionCodes                                    string
	Report, RawFile, RawSize, Verified, VerifyState string
}

func (r row) classTitle() string {
	if r.Provenance == "" {
		return "Energy not measured"
	}
	return strings.ToUpper(r.Provenance[:1]) + r.Provenance[1:] + " energy, " + scopeName(r.Scope)
}

func scopeName(scope string) string {
	switch scope {
	case "gpu":
		return "GPU only"
	case "cpu":
		return "CPU only"
	case "":
		return "devices not recorded"
	}
	return scope
}

// meaning explains what the energies of a table are.
func (r row) meaning() string {
	switch result.Provenance(r.Provenance) {
	case result.Measured:
		return "From power sensors of the devices that ran the model."
	case result.Modelled:
		return "From a formula over the utilization, not from a sensor."
	case result.Simulated:
		return "From a simulated device: these numbers tell nothing about real hardware."
	}
	return "These runs have no energy."
}

// study adds a study to the site. What cannot be published is noted.
func (b *builder) study(dir string) error {
	note := func(format string, args ...any) {
		b.made.Notes = append(b.made.Notes, dir+": "+fmt.Sprintf(format, args...))
	}
	files, sum, err := contents(dir)
	if err != nil {
		note("left out: %v", err)
		return nil
	}
	if b.seen[sum] {
		note("left out: a copy of another study")
		return nil
	}
	b.seen[sum] = true
	opened, err := store.Open(dir)
	if opened == nil {
		note("left out: %v", err)
		return nil
	}
	res := opened.StudyResult
	if !slices.ContainsFunc(res.Experiments, func(e result.ExperimentSummary) bool { return e.OK > 0 }) {
		note("left out: no run has a result")
		return nil
	}
	name := b.clean(res.Name, dir)
	if name == "" {
		name = "study of " + res.Finished.UTC().Format("2006-01-02")
	}
	slug := slugOf(res.Name) + sum[:8]
	if err := os.MkdirAll(filepath.Join(b.dir, "studies", slug), 0o755); err != nil {
		return err
	}
	shared := row{Study: name, Report: "studies/" + slug + "/report.html"}
	shared.Verified, shared.VerifyState = b.verify(dir)
	if shared.VerifyState == "differs" {
		b.made.Differ++
	}
	if err := b.report(res, filepath.Join(b.dir, filepath.FromSlash(shared.Report)), slug); err != nil {
		return err
	}
	if b.Raw {
		if err := b.raw(dir, slug, files, &shared, note); err != nil {
			return err
		}
	}
	b.made.Studies++
	b.configurations(res, shared, dir)
	return nil
}

// contents lists the regular files of a study, and returns a sum over the files that make its identity. A link among
// the files could publish anything, so a study with one is refused.
func contents(dir string) (files []string, sum string, err error) {
	h := sha256.New()
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.Type()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a link", filepath.Base(p))
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		files = append(files, p)
		if n := d.Name(); n == store.JournalFile || n == result.SummaryFile {
			text, err := disk.ReadFile(p, disk.MaxList)
			if err != nil {
				return err
			}
			h.Write(text)
		}
		return nil
	})
	return files, hex.EncodeToString(h.Sum(nil)), err
}

// slugOf is the beginning of a folder's name: letters, digits and hyphens of the study's name.
func slugOf(name string) string {
	s := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
	if s = strings.Trim(s[:min(len(s), 40)], "-"); s == "" {
		return ""
	}
	return s + "-"
}

// verify computes the numbers of a study again.
func (b *builder) verify(dir string) (text, state string) {
	all, unchecked, err := recheck.Folder(dir)
	if err != nil {
		return "not recomputed: " + b.clean(err.Error(), dir), "unknown"
	}
	// A summary that reports do not use says nothing, and runs without raw files cannot be judged.
	all = slices.DeleteFunc(all, func(r join.Recomputed) bool { return r.Skipped != "" && r.Run == result.SummaryFile })
	bare := len(all)
	all = slices.DeleteFunc(all, recheck.Bare)
	bare -= len(all)
	equal, skipped := 0, 0
	for _, r := range all {
		if r.Skipped != "" {
			skipped++
		} else if r.Error == "" && len(r.Differ)+len(r.Files) == 0 {
			equal++
		}
	}
	text = "recomputed " + b.day() + ": "
	if n := recheck.Bad(all); n > 0 {
		text += fmt.Sprintf("%d of %d do not match", n, len(all))
		for _, r := range all {
			if why := slices.Concat([]string{r.Error}, r.Files); r.Error != "" || len(r.Files) > 0 {
				return text + "; " + b.clean(r.Run+" "+strings.TrimSpace(strings.Join(why, " ")), dir), "differs"
			}
			if len(r.Differ) > 0 {
				return text + "; " + b.clean(r.Run, dir) + ": " + digits.Count(len(r.Differ), "number") + " differ",
					"differs"
			}
		}
	}
	if equal == 0 && bare > 0 {
		return "not recomputed: the raw files were left out", "unknown"
	}
	text += "all " + digits.Count(equal, "run") + " equal"
	if bare > 0 {
		text += fmt.Sprintf(", %d without raw files", bare)
	}
	if skipped > 0 {
		text += fmt.Sprintf(", %d without numbers", skipped)
	}
	if unchecked > 0 {
		text += fmt.Sprintf(", %d without checksums", unchecked)
	}
	return text, "equal"
}

// report writes the report of a study without what tells of this machine.
func (b *builder) report(res *result.StudyResult, path, slug string) error {
	study, err := disk.ReadFile(filepath.Join(res.Dir, store.StudyFile), disk.MaxSmall)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	o := page.Options{Version: b.Version, StudyFile: secret.Text(string(study))}
	if len(o.StudyFile) > maxStudyFile {
		o.StudyFile = o.StudyFile[:maxStudyFile] + "\n… (" + store.StudyFile + " has all of it)"
	}
	var text bytes.Buffer
	if err := page.Write(&text, res, o); err != nil {
		return err
	}
	html := strings.ReplaceAll(text.String(), res.Dir, slug)
	return disk.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, b.cleanPage(html, res.Dir))
		return err
	})
}

// raw packs the files of a study as they are, so that their checksums hold. Files with a secret are not published.
func (b *builder) raw(dir, slug string, files []string, r *row, note func(string, ...any)) error {
	var tells []string
	for _, f := range files {
		if strings.HasSuffix(f, ".parquet") {
			continue
		}
		text, err := disk.ReadFile(f, maxScanned)
		if err != nil {
			note("raw files left out: %v", err)
			return nil
		}
		if s := secret.Plain(string(text)); secret.Text(s) != s {
			note("raw files left out: %s holds a secret", filepath.Base(f))
			return nil
		}
		for _, p := range append(slices.Clone(b.private), filepath.Dir(absolute(dir))) {
			if !slices.Contains(tells, p) && bytes.Contains(text, []byte(p)) {
				tells = append(tells, p)
			}
		}
	}
	if len(tells) > 0 {
		note("its raw files name %s; --no-raw leaves raw files out", strings.Join(tells, ", "))
	}
	r.RawFile = "studies/" + slug + "/raw.zip"
	path := filepath.Join(b.dir, filepath.FromSlash(r.RawFile))
	if err := disk.WriteFile(path, func(w io.Writer) error { return pack(w, dir, slug, files) }); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	b.made.Raw += info.Size()
	r.RawSize = digits.Bytes(info.Size()).String()
	return nil
}

// pack writes the files of a study as an archive that depends on their content alone.
func pack(w io.Writer, dir, slug string, files []string) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	for _, f := range files {
		rel, err := filepath.Rel(dir, f)
		if err != nil {
			return err
		}
		entry, err := z.CreateHeader(&zip.FileHeader{Name: slug + "/" + filepath.ToSlash(rel), Method: zip.Deflate})
		if err != nil {
			return err
		}
		if err := add(entry, f); err != nil {
			return err
		}
	}
	return z.Close()
}

func add(w io.Writer, file string) error {
	f, err := disk.Open(file, disk.Unbounded)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(w, f)
	return err
}

// configurations adds the rows of a study.
func (b *builder) configurations(res *result.StudyResult, shared row, dir string) {
	names := view.Naming(res)
	for _, e := range res.Experiments {
		if e.OK == 0 {
			continue
		}
		w := e.Config.Workload
		r := shared
		clean := func(s string) string { return b.clean(s, dir) }
		r.Label, r.Model, r.GPU = clean(names.Label(e.Config)), clean(e.Config.Model), clean(e.Device)
		r.Engine, r.DType = clean(strings.TrimSpace(e.Config.Backend+" "+e.Version)), clean(e.DType)
		r.Batch = e.Config.BatchText()
		r.Work = fmt.Sprintf("%d × %d→%d tokens", w.Prompts, w.InputTokens, w.OutputTokens)
		if w.Load.Trace != "" {
			r.Work = clean(naming.Prompts(w))
		}
		r.Provenance, r.Runs = string(e.Provenance), e.OK
		r.Date = res.Finished.UTC().Format("2006-01-02")
		r.Scope = scope(res, e.ID)
		r.Class = strings.Trim(r.Provenance+"-"+r.Scope, "-")
		if r.Provenance == "" {
			r.Class, r.Scope = string(result.None), ""
		}
		r.Energy, r.Net = figureOf(e, "energy.per_output_token_j"), figureOf(e, "energy.net_per_output_token_j")
		r.Node = figureOf(e, "energy.node_per_output_token_j")
		r.Speed = figureOf(e, "throughput.output_tokens_per_s")
		r.TTFT, r.TTFT99 = figureOf(e, "latency.ttft_ms.p50"), figureOf(e, "latency.ttft_ms.p99")
		codes := map[string]bool{}
		for _, w := range e.Warnings {
			codes[string(w.Code)] = true
		}
		for _, c := range slices.Concat(e.Caveats, res.Caveats) {
			codes[string(c.Code)] = true
		}
		list := make([]string, 0, len(codes))
		for c := range codes {
			list = append(list, c)
		}
		slices.Sort(list)
		r.Cautions, r.CautionCodes = len(list), strings.Join(list, ", ")
		b.rows = append(b.rows, r)
		b.made.Configurations++
	}
}

// scope is what the energy of a configuration covers, from the first of its runs with a result.
func scope(res *result.StudyResult, id string) string {
	for _, row := range res.Rows {
		if row.ID != id || row.Status != result.OK {
			continue
		}
		if r, err := result.ReadRun(res.Dir, row.ID, row.Cycle); err == nil {
			return r.Energy.Scope
		}
	}
	return ""
}

// figureOf is a metric of a configuration with its interval.
func figureOf(e result.ExperimentSummary, name string) number {
	out := number{math.NaN(), "–", ""}
	m, err := result.Metric(name)
	f, ok := view.FigureOf(&e, name)
	if err != nil || !ok {
		return out
	}
	return number{f.Value, view.Number(m, f.Value), f.Range(m)}
}
