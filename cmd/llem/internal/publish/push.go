package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llenergymeasure/llem/cmd/llem/internal/verdict"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/mlflow"
	"github.com/llenergymeasure/llem/internal/scrub"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/share"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// PushFlags are the flags of push.
type PushFlags struct {
	// Public makes the repository public; Yes answers the question about it.
	Public, Yes bool
	// DryRun lists what would be sent, all files of it.
	DryRun bool
	// Force replaces another study, or a card that was edited.
	Force bool
	// License of the data set.
	License string
	// Scrub are other texts to replace.
	Scrub []string
	// JSON prints the outcome as a document.
	JSON bool
}

// Add adds the flags to a command.
func (f *PushFlags) Add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.BoolVar(&f.DryRun, "dry-run", false, "list what would be sent; ask the hub nothing and send nothing")
	flags.StringVar(&f.License, "license", "", "licence of the data set as the hub spells it, such as cc-by-4.0")
	flags.BoolVar(&f.Public, "public", false, "let everybody see it; asks first (default: private)")
	flags.BoolVar(&f.Yes, "yes", false, "with --public: do not ask")
	flags.StringArrayVar(&f.Scrub, "scrub", nil, "replace this `TEXT` too, such as the name of a host; may be repeated")
	flags.BoolVar(&f.Force, "force", false, "replace another study in the repository, or a card that was edited")
	flags.BoolVar(&f.JSON, "json", false, "print the outcome as one JSON document")
}

// Pushed is the outcome of a push.
type Pushed struct {
	SchemaVersion int `json:"schema_version"` // 1
	// Repository is hf:USER/NAME, and URL its page.
	Repository string `json:"repository"`
	URL        string `json:"url"`
	// Visibility is private or public.
	Visibility string `json:"visibility"`
	// Commit has the files; empty in a dry run.
	Commit string `json:"commit,omitempty"`
	// Sent are the files that were new or changed, and Kept counts the files that the repository had.
	Sent []SentFile `json:"sent"`
	Kept int        `json:"kept"`
	// Deleted are files of the study that are gone.
	Deleted []string `json:"deleted,omitempty"`
	// NotSent are files of the folder that are not of the study.
	NotSent []string `json:"not_sent,omitempty"`
	// Replaced is what was replaced in the copy.
	Replaced []scrub.Finding `json:"replaced"`
	// Verdict is verified, partly or nothing.
	Verdict verdict.State `json:"verdict"`
}

// SentFile is a file that is sent.
type SentFile struct {
	Path string `json:"path"`
	// Bytes is its size.
	Bytes int64 `json:"bytes"`
}

// push is a push on its way.
type push struct {
	Command
	PushFlags
	dir   string
	ref   share.Ref
	hub   *share.Client
	temp  string
	copy  *scrub.Copy
	other []string
	files []*share.File
	out   Pushed
}

// Push sends a study to a repository.
func (c Command) Push(ctx context.Context, dir, to string, f PushFlags) error {
	p := &push{Command: c, PushFlags: f, dir: dir}
	if strings.HasPrefix(to, mlflow.Scheme) {
		return mistakes(p.track(ctx, to))
	}
	return mistakes(p.run(ctx, to))
}

func (p *push) run(ctx context.Context, to string) (err error) {
	if p.ref, err = share.ParseRef(to); err != nil {
		return err
	}
	if p.ref.Rev != share.Main {
		return &Error{"push writes to the branch main, not to " + p.ref.Rev, "leave @" + p.ref.Rev + " out"}
	}
	if err := checkLicense(p.License); err != nil {
		return err
	}
	if p.temp, err = os.MkdirTemp("", "llem-push-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.temp)) }()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	p.hub = p.client()
	p.out.Repository, p.out.URL = p.ref.String(), p.hub.Page(p.ref.Name)
	if p.DryRun {
		p.list(p.files, nil, "")
		return p.tell(p.files, "")
	}
	return p.send(ctx)
}

// prepare makes the copy that is sent, verifies it, and adds the card, the table and the figure.
func (p *push) prepare(ctx context.Context) error {
	place, v, err := p.copied(ctx)
	if err != nil {
		return err
	}
	return p.add(place, v)
}

// copied makes the copy that is sent and verifies it. It returns its folder.
func (p *push) copied(ctx context.Context) (place string, v *verdict.Verdict, err error) {
	if _, err := openStudy(p.dir); err != nil {
		return "", nil, err
	}
	all, err := contentsOf(p.dir)
	if err != nil {
		return "", nil, err
	}
	p.other, p.out.NotSent = all.other, all.other
	place = filepath.Join(p.temp, cmp.Or(strings.TrimLeft(filepath.Base(absolute(p.dir)), "."), "study"))
	if err := os.Mkdir(place, 0o700); err != nil {
		return "", nil, err
	}
	host, _ := os.Hostname() // a machine without a name has none to hide
	home, _ := os.UserHomeDir()
	hosts := []string{host}
	for _, kv := range p.Environ {
		if name, value, _ := strings.Cut(kv,
			"="); slices.Contains([]string{"LLEM_NODE", "SLURMD_NODENAME", "HOSTNAME"}, name) {
			hosts = append(hosts, value)
		}
	}
	p.copy, err = scrub.Make(scrub.Options{Dir: p.dir, To: place, Files: all.study, Environ: p.environ(), Hosts: hosts,
		Home: home, Also: p.Scrub})
	if err != nil {
		return "", nil, err
	}
	v, err = p.verify(ctx, place)
	return place, v, err
}

// environ is the environment with the token of the hub, which may be from a file.
func (p *push) environ() []string {
	token, _ := hub.Token()
	return append(slices.Clone(p.Environ), "HF_TOKEN="+token)
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// verify judges the copy. Numbers that do not follow from their raw files are not sent.
func (p *push) verify(ctx context.Context, place string) (*verdict.Verdict, error) {
	v, err := verdict.Of(place)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if v.State != verdict.Differs {
		return v, nil
	}
	first := v.Problems[0]
	if original, err := verdict.Of(p.dir); err == nil && original.State != verdict.Differs {
		return nil, &share.Error{What: fmt.Sprintf("the copy without secrets and names cannot be verified: %s: %s",
			first.Of, first.What),
			Next: "nothing was sent; a text that was replaced is part of what identifies a run: " +
				"leave its --scrub out, or measure with other names"}
	}
	return nil, &share.Error{What: fmt.Sprintf("the numbers do not follow from the raw files, or a file has changed: "+
		"%s: %s", first.Of, first.What),
		Next: "nothing was sent; `llem verify " + shell.Path(p.dir) + "` has all of it"}
}

// add adds what push writes itself to the files of the copy.
func (p *push) add(place string, v *verdict.Verdict) error {
	opened, err := store.Open(place)
	if err != nil {
		return err
	}
	s := opened.StudyResult
	rows, err := store.Rows(place)
	if err != nil {
		return err
	}
	table, err := runsTable(s, rows)
	if err != nil {
		return err
	}
	drawing := draw(s)
	text, err := (&card{StudyResult: s, dir: place, name: p.ref.Name, license: p.License, verdict: v, copy: p.copy,
		figure: drawing != nil}).text()
	if err != nil {
		return err
	}
	p.files = append(p.files, &share.File{Path: cardFile, Content: text})
	if drawing != nil {
		p.files = append(p.files, &share.File{Path: figureFile, Content: drawing})
	}
	p.files = append(p.files, &share.File{Path: runsFile, Content: table})
	names := slices.Clone(p.copy.Files)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), strings.Compare(a, b))
	})
	for _, name := range names {
		p.files = append(p.files, &share.File{Path: name, Local: filepath.Join(place, filepath.FromSlash(name))})
	}
	for _, f := range p.files {
		if err := f.Hash(); err != nil {
			return err
		}
	}
	p.out.Replaced, p.out.Verdict, p.out.SchemaVersion = p.copy.Replaced, v.State, 1
	return nil
}

// send compares the study with the repository, and sends what differs.
func (p *push) send(ctx context.Context) error {
	if hub.OfflineSet() {
		return &Error{"HF_HUB_OFFLINE is set, and push needs the hub", "unset HF_HUB_OFFLINE"}
	}
	if p.hub.Token == "" {
		return &Error{"no token of the hub: HF_TOKEN is not set, and nobody has logged in",
			"log in with `hf auth login`, or set HF_TOKEN to a token with the role write from " + p.hub.Endpoint +
				"/settings/tokens"}
	}
	info, err := p.hub.Info(ctx, p.ref)
	if err != nil {
		return err
	}
	var there []share.Remote
	if info != nil {
		if there, err = p.hub.Files(ctx, p.ref, info.Commit); err != nil {
			return err
		}
	}
	ch, err := p.change(ctx, info, there)
	if err != nil {
		return err
	}
	if p.out.Visibility = share.Private; p.Public || info != nil && !info.Private {
		p.out.Visibility = share.Public
	}
	if len(ch.Add)+len(ch.Delete) > 0 {
		p.list(ch.Add, ch.Delete, p.out.Visibility)
	}
	if err := p.allowed(ctx, info); err != nil {
		return err
	}
	if info == nil {
		// It becomes public with its files, not before.
		if err := p.hub.Create(ctx, p.ref.Name, share.Private); err != nil {
			return err
		}
	}
	if err := p.checkCard(ctx, ch.Add); err != nil {
		return err
	}
	commit := ch.Parent
	if len(ch.Add)+len(ch.Delete) > 0 {
		meter := p.meter("sent")
		ch.Progress = meter.show
		commit, err = p.hub.Push(ctx, *ch)
		meter.end()
		if err != nil {
			return err
		}
	}
	if p.Public && (info == nil || info.Private) {
		if err := p.hub.SetVisibility(ctx, p.ref.Name, share.Public); err != nil {
			return err
		}
	}
	p.out.Deleted = ch.Delete
	return p.tell(ch.Add, commit)
}

// checkCard has the hub check the card before large files are sent: it refuses commits with a wrong one.
func (p *push) checkCard(ctx context.Context, files []*share.File) error {
	for _, f := range files {
		if f.Path == cardFile {
			return p.hub.CheckCard(ctx, p.ref.Name, f.Content)
		}
	}
	return nil
}

// change is what the repository lacks. One that holds something else is refused.
func (p *push) change(ctx context.Context, info *share.Info, there []share.Remote) (*share.Change, error) {
	ch := &share.Change{Name: p.ref.Name, Summary: "Results of " + path.Base(filepath.ToSlash(absolute(p.dir))),
		Description: "Sent by llem " + p.Version}
	if info == nil {
		ch.Add = p.files
		return ch, nil
	}
	ch.Parent = info.Commit
	remote := map[string]share.Remote{}
	for _, r := range there {
		remote[r.Path] = r
	}
	if err := p.sameStudy(remote); err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, f := range p.files {
		mine[f.Path] = true
		old, exists := remote[f.Path]
		if exists && f.Same(old) {
			continue
		}
		if exists && f.Path == cardFile && !p.Force {
			edited, err := p.edited(ctx, info.Commit, old)
			if err != nil {
				return nil, err
			}
			if edited {
				fmt.Fprintf(p.Err, "%s was edited in the repository and stays (--force replaces it)\n", cardFile)
				continue
			}
		}
		ch.Add = append(ch.Add, f)
	}
	for _, r := range there {
		if isOwn(r.Path) && !mine[r.Path] {
			ch.Delete = append(ch.Delete, r.Path)
		}
	}
	return ch, nil
}

// usual are files that a repository has from its creation, or that people add to a data set.
var usual = []string{".gitattributes", ".gitignore", cardFile, "LICENSE", "LICENSE.md", "CITATION.cff"}

// sameStudy refuses a repository that holds another study or other files.
func (p *push) sameStudy(remote map[string]share.Remote) error {
	var others []string
	for name := range remote {
		if !slices.Contains(usual, name) && !isOwn(name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	held, has := remote[store.StudyFile]
	same := has && slices.ContainsFunc(p.files, func(f *share.File) bool { return f.Same(held) })
	const next = "name another repository; --force replaces the study there, and the hub keeps the earlier commits"
	switch {
	case same || p.Force:
		return nil
	case has:
		return &share.Error{What: fmt.Sprintf("%s holds another study: its %s differs, so nothing was sent", p.ref,
			store.StudyFile), Next: next}
	case len(others) > 0:
		return &share.Error{What: fmt.Sprintf("%s holds other files, such as %s, so nothing was sent", p.ref,
			others[0]),
			Next: "name another repository; --force adds the study to these files"}
	}
	if old, ok := remote[result.SummaryFile]; ok {
		return &share.Error{What: fmt.Sprintf("%s holds another study (%s without %s), so nothing was sent", p.ref,
			old.Path, store.StudyFile), Next: next}
	}
	return nil
}

// edited reports whether somebody changed the card in the repository.
func (p *push) edited(ctx context.Context, commit string, old share.Remote) (bool, error) {
	const most = 16 << 20
	if old.Size > most {
		return true, nil
	}
	dir := filepath.Join(p.temp, ".card")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	err := p.hub.Download(ctx, share.Fetch{Ref: p.ref, Commit: commit, Files: []share.Remote{old}, Dir: dir})
	if err != nil {
		return false, err
	}
	text, err := disk.ReadFile(filepath.Join(dir, cardFile), disk.MaxSmall)
	if err != nil {
		return false, err
	}
	stub := len(strings.TrimSpace(string(text))) == 0
	return !stub && !untouched(text), nil
}

// allowed asks before anything becomes public.
func (p *push) allowed(ctx context.Context, info *share.Info) error {
	public := info != nil && !info.Private
	switch {
	case public && !p.Public:
		return &Error{fmt.Sprintf("%s is public: everybody would see what is sent", p.ref),
			"add --public if that is meant, or name a private repository"}
	case !p.Public || p.Yes:
		return nil
	case !p.Ask:
		return &Error{"--public needs a confirmation, and there is no terminal to ask on",
			"look at the list of `--dry-run`, then add --yes"}
	case !p.confirm(ctx, "Make this public, for everybody to see?"):
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &Error{"not confirmed, so nothing was sent", "without --public it is sent to a private repository"}
	}
	return nil
}

// tell prints the outcome.
func (p *push) tell(sent []*share.File, commit string) error {
	p.out.Commit, p.out.Sent = commit, []SentFile{}
	var bytes int64
	for _, f := range sent {
		p.out.Sent = append(p.out.Sent, SentFile{f.Path, f.Size})
		bytes += f.Size
	}
	p.out.Kept = len(p.files) - len(sent)
	if p.JSON {
		return printJSON(p.Doc, p.out)
	}
	var err error
	switch {
	case p.DryRun:
		_, err = fmt.Fprintf(p.Out, "%s: %s would be sent (%s); nothing was sent\n", p.ref,
			digits.Count(len(sent), "file"), digits.Bytes(bytes))
	case len(sent)+len(p.out.Deleted) == 0:
		_, err = fmt.Fprintf(p.Out, "%s\n  it has all %s already (%s)\n", p.out.URL, digits.Count(len(p.files), "file"),
			p.out.Visibility)
	default:
		_, err = fmt.Fprintf(p.Out, "%s\n  %s sent (%s), commit %.12s, %s\n  check it from anywhere: llem verify %s\n",
			p.out.URL, digits.Count(len(sent), "file"), digits.Bytes(bytes), commit, p.out.Visibility, p.ref)
	}
	return err
}

// shownFiles is how many files are listed by name without --dry-run; the files of runs are counted.
const shownFiles = 30

// list lists what is sent, what is not, and what was replaced, on standard error, or for a dry run on standard output.
func (p *push) list(files []*share.File, deleted []string, visibility string) {
	to := p.Err
	if p.DryRun && !p.JSON {
		to = p.Out
	}
	about := p.ref.String()
	if visibility != "" {
		about += ", " + visibility
	}
	fmt.Fprintf(to, "to send to %s:\n", about)
	runs, inRuns, bytes, total, shown := map[string]bool{}, 0, int64(0), int64(0), 0
	for _, f := range files {
		total += f.Size
		if dir := path.Dir(f.Path); strings.HasPrefix(dir, result.RunsDir+"/") && !p.DryRun {
			runs[dir] = true
			inRuns++
			bytes += f.Size
			continue
		}
		if shown++; shown <= shownFiles || p.DryRun {
			fmt.Fprintf(to, "  %9s  %s\n", digits.Bytes(f.Size), secret.Text(f.Path))
		}
	}
	if inRuns > 0 {
		fmt.Fprintf(to, "  %9s  runs/: %s of %s\n", digits.Bytes(bytes), digits.Count(inRuns, "file"),
			digits.Count(len(runs), "run"))
	}
	if shown > shownFiles && !p.DryRun {
		fmt.Fprintf(to, "             and %s; --dry-run lists all\n", digits.Count(shown-shownFiles, "more file"))
	}
	fmt.Fprintf(to, "  %9s  in %s\n", digits.Bytes(total), digits.Count(len(files), "file"))
	if n := len(p.files) - len(files); n > 0 && !p.DryRun {
		fmt.Fprintf(to, "already there: %s\n", digits.Count(n, "file"))
	}
	if n := len(deleted); n > 0 {
		fmt.Fprintf(to, "to delete there, as gone here: %s (%s)\n", digits.Count(n, "file"),
			some(deleted))
	}
	if n := len(p.other); n > 0 {
		fmt.Fprintf(to, "not sent, as not of the study: %s (%s)\n", digits.Count(n, "file"), some(p.other))
	}
	for _, f := range p.copy.Replaced {
		fmt.Fprintf(to, "replaced: %s\n", findingText(f))
	}
	if len(p.copy.Original) > 0 {
		fmt.Fprintf(to, "The copy has manifests of its own; %s keeps the checksums of %s as measured.\n", scrub.File,
			digits.Count(len(p.copy.Original), "file"))
	}
}

// some names the first of many files.
func some(names []string) string {
	const most = 3
	out := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		out += ", …"
	}
	return secret.Text(out)
}

// printJSON prints a document.
func printJSON(w io.Writer, doc any) error {
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the outcome: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
