package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/mlflow"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Tracked is the outcome of a push to a tracking server.
type Tracked struct {
	SchemaVersion int `json:"schema_version"` // 1
	mlflow.Outcome
	// DryRun reports that nothing was sent.
	DryRun bool `json:"dry_run,omitempty"`
}

// track sends a study to an MLflow tracking server.
func (p *push) track(ctx context.Context, to string) (err error) {
	if p.Public || p.Force || p.License != "" || p.Yes {
		return &Error{"--public, --yes, --license and --force are about a repository of a hub", "leave them out"}
	}
	target, err := mlflow.Parse(to, p.getenv)
	if err != nil {
		return err
	}
	if p.temp, err = os.MkdirTemp("", "llem-push-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.temp)) }()
	place, _, err := p.copied(ctx)
	if err != nil {
		return err
	}
	parent, runs, err := p.tracked(place)
	if err != nil {
		return err
	}
	experiment := cmp.Or(target.Experiment, mlflow.Name(parent.Name))
	files := len(parent.Files)
	for _, r := range runs {
		files += len(r.Files)
	}
	fmt.Fprintf(p.Err, "%sto send to %s, experiment %s: %s with settings, metrics and %s\n", p.clear(), target.URL,
		experiment, digits.Count(len(runs), "run"), digits.Count(files, "file"))
	for _, f := range p.copy.Replaced {
		fmt.Fprintf(p.Err, "replaced: %s\n", findingText(f))
	}
	out := Tracked{SchemaVersion: 1, DryRun: p.DryRun, Outcome: mlflow.Outcome{Experiment: experiment, URL: target.URL}}
	if !p.DryRun {
		client := mlflow.New(target.URL, p.getenv, func(text string) { fmt.Fprintf(p.Err, "%s%s\n", p.clear(), text) })
		made, err := client.Push(ctx, experiment, parent, runs, func(n int) {
			if p.Live {
				fmt.Fprintf(p.Err, "%s%d of %d runs", p.clear(), n, len(runs))
			}
		})
		fmt.Fprint(p.Err, p.clear())
		if err != nil {
			return err
		}
		out.Outcome = *made
	}
	if p.JSON {
		return printJSON(p.Out, out)
	}
	return p.report(out)
}

// report prints the outcome for a person.
func (p *push) report(out Tracked) error {
	if out.DryRun {
		_, err := fmt.Fprintln(p.Out, "nothing was sent")
		return err
	}
	text := fmt.Sprintf("%s\n  %s sent with %s", out.URL, digits.Count(out.Sent, "run"),
		digits.Count(out.Files, "file"))
	if out.Kept > 0 {
		text += fmt.Sprintf(", %d there already", out.Kept)
	}
	if out.Again > 0 {
		text += fmt.Sprintf("; %d of an interrupted push replaced", out.Again)
	}
	if out.FilesReason != "" {
		text += "\n  without files: " + out.FilesReason
	}
	_, err := fmt.Fprintln(p.Out, text)
	return err
}

// getenv is a variable of the environment.
func (p *push) getenv(name string) string {
	for _, kv := range p.Environ {
		if key, value, _ := strings.Cut(kv, "="); key == name {
			return value
		}
	}
	return ""
}

// tracked are a study and its runs for a tracking server, from the copy that is sent.
func (p *push) tracked(place string) (parent mlflow.Run, runs []mlflow.Run, err error) {
	opened, err := store.Open(place)
	if err != nil {
		return parent, nil, err
	}
	names := view.Naming(opened.StudyResult)
	files := map[string]map[string]string{}
	for _, name := range p.copy.Files {
		of, inside := "", name
		if rest, ok := strings.CutPrefix(name, result.RunsDir+"/"); ok {
			of, inside, _ = strings.Cut(rest, "/")
			of = path.Join(result.RunsDir, of)
		}
		if files[of] == nil {
			files[of] = map[string]string{}
		}
		files[of][inside] = filepath.Join(place, filepath.FromSlash(name))
	}
	study := cmp.Or(opened.Name, filepath.Base(absolute(p.dir)))
	for r, err := range opened.Records() {
		if err != nil {
			return parent, nil, err
		}
		run, err := trackedRun(r, study, names.Label(r.Config), files[result.RunPath(r.ID, r.Cycle)])
		if err != nil {
			return parent, nil, err
		}
		if !run.Start.IsZero() && (parent.Start.IsZero() || run.Start.Before(parent.Start)) {
			parent.Start = run.Start
		}
		runs = append(runs, run)
	}
	parent.Name, parent.Status, parent.Files, parent.End = study, "FINISHED", files[""], opened.Finished
	if !opened.Complete {
		parent.Status = "KILLED"
	}
	if parent.Start.IsZero() {
		parent.Start = parent.End
	}
	parent.Tags = map[string]string{"llem.study": study, "llem.kind": "study", "llem.version": p.Version}
	parent.Key, err = disk.SumFile(filepath.Join(place, store.StudyFile))
	return parent, runs, err
}

// trackedRun is one run.
func trackedRun(r *result.Record, study, label string, files map[string]string) (mlflow.Run, error) {
	name := fmt.Sprintf("%s-c%d", r.ID, r.Cycle)
	out := mlflow.Run{Name: name, Status: "FINISHED", Files: files, Params: map[string]string{},
		Metrics: map[string]float64{}, Tags: map[string]string{"llem.study": study, "llem.run": name,
			"llem.kind": "run", "llem.configuration": label, "llem.version": r.Program,
			"llem.energy": string(r.Energy.Provenance.Of(r.Backend.Name)), "llem.engine_version": r.Backend.Version}}
	if r.Status != result.OK {
		out.Status = "FAILED"
	}
	if r.Failure != nil {
		out.Tags["llem.failure"] = string(r.Failure.Class) + ": " + r.Failure.Message
	}
	if r.Window != nil {
		out.Start, out.End = r.Window.Start, r.Window.End
	}
	var doubts []string
	for _, code := range r.Warnings.Codes() {
		doubts = append(doubts, string(code))
	}
	out.Tags["llem.warnings"] = strings.Join(doubts, ", ")
	for key, value := range out.Tags {
		if value == "" {
			delete(out.Tags, key)
		}
	}
	values := result.ValuesOf(r)
	for _, m := range result.Metrics() {
		if v, ok := values.Get(m.Name); ok {
			out.Metrics[m.Name] = v
		}
	}
	text, err := json.Marshal(r.Config)
	if err != nil {
		return out, err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return out, err
	}
	flatten(out.Params, "", config)
	out.Key, err = disk.SumFile(files[result.RecordFile])
	return out, err
}

// flatten adds the values of an object by their path.
func flatten(into map[string]string, prefix string, from map[string]any) {
	for key, v := range from {
		switch v := v.(type) {
		case map[string]any:
			flatten(into, prefix+key+".", v)
		case nil:
		default:
			if text := fmt.Sprint(v); text != "" {
				into[prefix+key] = text
			}
		}
	}
}
