// Package mlflow sends runs to an MLflow tracking server over its REST API, without MLflow:
//
//	experiments/get-by-name, experiments/create   one experiment for a study
//	runs/search                                   which runs are there already, by the tag llem.key
//	runs/create, runs/log-batch, runs/update      one run of MLflow for each run, below one for the study
//	mlflow-artifacts/artifacts/PATH               the files of a run, by PUT
//
// A run of MLflow that was cut off is not marked complete: the next push deletes it and sends it again, and leaves
// complete ones alone. Each failure has a next step.
package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Scheme begins the name of a tracking server on a command line.
const Scheme = "mlflow:"

// Limits of one request of runs/log-batch.
const (
	mostMetrics = 1000
	mostParams  = 100
	mostTags    = 100
)

// Limits of texts, in bytes.
const (
	mostValue = 6000 // of a parameter
	mostTag   = 8000 // of a tag
	mostName  = 250  // of a name
)

// Tags by which a run is found again.
const (
	keyTag      = "llem.key"
	completeTag = "llem.complete"
	parentTag   = "mlflow.parentRunId"
)

// Error is a failure with the next step.
type Error struct {
	// What failed, and where.
	What string
	// Next is the next step.
	Next string
	// Usage reports a mistake of the user: nothing was sent.
	Usage bool
	// Err is the cause; nil if the server answered.
	Err error

	after  time.Duration // that the server asks to wait
	status int           // of the answer
	code   string        // of MLflow
}

// Error returns what failed.
func (e *Error) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.Next }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Target is a tracking server and an experiment of it.
type Target struct {
	// URL of the server, without a slash at the end.
	URL string
	// Experiment is empty for the name of the study.
	Experiment string
}

// Parse reads mlflow:http://HOST:PORT#EXPERIMENT; without an address it is the one of MLFLOW_TRACKING_URI.
func Parse(text string, getenv func(string) string) (Target, error) {
	address, experiment, _ := strings.Cut(strings.TrimPrefix(text, Scheme), "#")
	from := text
	if address == "" {
		address, from = getenv("MLFLOW_TRACKING_URI"), "MLFLOW_TRACKING_URI"
		if address == "" {
			return Target{}, &Error{What: text + " names no tracking server, and MLFLOW_TRACKING_URI is not set",
				Next: "write mlflow:http://HOST:5000", Usage: true}
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Target{}, &Error{What: fmt.Sprintf("%s is not the address of a tracking server", from),
			Next: "write mlflow:http://HOST:5000 or mlflow:https://HOST; a folder or a database needs " +
				"`mlflow server --backend-store-uri` before it", Usage: true}
	}
	if u.User != nil {
		return Target{}, &Error{What: "the address of the tracking server has a name or a password in it",
			Next: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead", Usage: true}
	}
	return Target{strings.TrimRight(address, "/"), cmp.Or(experiment, getenv("MLFLOW_EXPERIMENT_NAME"))}, nil
}

// Run is what is sent of one run.
type Run struct {
	// Name is shown in lists; Key is equal for equal content.
	Name, Key string
	// Status is FINISHED, FAILED or KILLED.
	Status string
	// Start and End are the times of the run.
	Start, End time.Time
	// Params are its settings, Tags what else is known, Metrics its numbers.
	Params, Tags map[string]string
	// Metrics are its numbers.
	Metrics map[string]float64
	// Files are its files, by their path within the run.
	Files map[string]string
}

// Name returns a text in the characters that MLflow allows in names, and within its length.
func Name(text string) string {
	out := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("_-. :/", r) {
			return r
		}
		return '_'
	}, text)
	// A path that others would clean is refused: "..", a slash at an end, two slashes.
	out = strings.Trim(path.Clean("/"+out), "/")
	return cut(cmp.Or(out, "_"), mostName)
}

// cut shortens a text to a number of bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}

// Outcome is what a push did.
type Outcome struct {
	// Experiment is its name, URL its page.
	Experiment string `json:"experiment"`
	URL        string `json:"url"`
	// Sent and Kept count the runs.
	Sent int `json:"sent"`
	Kept int `json:"kept"`
	// Again counts the runs that an interrupted push had left, which were sent again.
	Again int `json:"sent_again"`
	// Files counts the files, FilesReason is why there are none.
	Files       int    `json:"files"`
	FilesReason string `json:"files_reason,omitempty"`
}

// Push sends a study and its runs to an experiment. Done is told after each run.
func (c *Client) Push(ctx context.Context, experiment string, parent Run, runs []Run, done func(n int)) (*Outcome,
	error) {
	id, err := c.experiment(ctx, experiment)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Experiment: experiment, URL: c.URL + "/#/experiments/" + id}
	above, err := c.find(ctx, id, parent.Key)
	if err != nil {
		return nil, err
	}
	if above == nil {
		if above, err = c.create(ctx, id, parent, ""); err != nil {
			return nil, err
		}
	}
	for i, r := range runs {
		if err := c.one(ctx, id, above.id, r, out); err != nil {
			return nil, fmt.Errorf("%s, after %d of %d runs: %w", r.Name, i, len(runs), err)
		}
		done(i + 1)
	}
	if out.Sent == 0 && above.complete {
		return out, nil
	}
	return out, c.fill(ctx, above, parent, out)
}

// one sends a run, unless it is there.
func (c *Client) one(ctx context.Context, experiment, parent string, r Run, out *Outcome) error {
	there, err := c.find(ctx, experiment, r.Key)
	switch {
	case err != nil:
		return err
	case there != nil && there.complete:
		out.Kept++
		return nil
	case there != nil:
		out.Again++
		if err := c.post(ctx, "runs/delete", object{"run_id": there.id}, nil); err != nil {
			return err
		}
	}
	made, err := c.create(ctx, experiment, r, parent)
	if err != nil {
		return err
	}
	out.Sent++
	return c.fill(ctx, made, r, out)
}

// fill sends the content of a run, and marks it complete.
func (c *Client) fill(ctx context.Context, to *place, r Run, out *Outcome) error {
	for params := range slices.Chunk(sorted(r.Params), mostParams) {
		list := make([]object, len(params))
		for i, key := range params {
			list[i] = object{"key": Name(key), "value": cut(r.Params[key], mostValue)}
		}
		if err := c.post(ctx, "runs/log-batch", object{"run_id": to.id, "params": list}, nil); err != nil {
			return err
		}
	}
	for metrics := range slices.Chunk(sorted(r.Metrics), mostMetrics) {
		list := make([]object, len(metrics))
		for i, key := range metrics {
			list[i] = object{"key": Name(key), "value": r.Metrics[key], "timestamp": r.End.UnixMilli(), "step": 0}
		}
		if err := c.post(ctx, "runs/log-batch", object{"run_id": to.id, "metrics": list}, nil); err != nil {
			return err
		}
	}
	if err := c.files(ctx, to, r, out); err != nil {
		return err
	}
	err := c.post(ctx, "runs/update", object{"run_id": to.id, "status": r.Status, "end_time": r.End.UnixMilli()}, nil)
	if err != nil {
		return err
	}
	return c.post(ctx, "runs/set-tag", object{"run_id": to.id, "key": completeTag, "value": "yes"}, nil)
}

// files sends the files of a run through the server, if it stores artifacts itself.
func (c *Client) files(ctx context.Context, to *place, r Run, out *Outcome) error {
	root, ok := strings.CutPrefix(to.artifacts, "mlflow-artifacts:")
	if !ok {
		out.FilesReason = "the server keeps artifacts at " + to.artifacts + ", which it does not pass on"
		return nil
	}
	if host, rest, has := strings.Cut(strings.TrimPrefix(root, "//"), "/"); strings.HasPrefix(root, "//") && has &&
		host != "" {
		root = rest
	}
	for _, name := range sorted(r.Files) {
		err := c.put(ctx, strings.Trim(root, "/")+"/"+name, r.Files[name])
		if e, isError := errors.AsType[*Error](err); isError && (e.status == http.StatusNotFound ||
			e.status == http.StatusNotImplemented || e.status == http.StatusServiceUnavailable && e.code == "") {
			out.FilesReason = "the server takes no artifacts: " + e.What
			return nil
		}
		if err != nil {
			return err
		}
		out.Files++
	}
	return nil
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// place is a run on the server.
type place struct {
	id, artifacts string
	complete      bool
}

// experiment returns the id of an experiment, which it creates if there is none of the name.
func (c *Client) experiment(ctx context.Context, name string) (string, error) {
	var found struct {
		Experiment struct {
			ID    string `json:"experiment_id"`
			Stage string `json:"lifecycle_stage"`
		} `json:"experiment"`
	}
	err := c.get(ctx, "experiments/get-by-name?experiment_name="+url.QueryEscape(name), &found)
	if e, ok := errors.AsType[*Error](err); ok && e.code == "RESOURCE_DOES_NOT_EXIST" {
		var made struct {
			ID string `json:"experiment_id"`
		}
		err := c.post(ctx, "experiments/create", object{"name": name}, &made)
		return made.ID, err
	}
	if err != nil {
		return "", err
	}
	if found.Experiment.Stage == "deleted" {
		return "", &Error{What: fmt.Sprintf("the experiment %q of %s is deleted", name, c.URL),
			Next: fmt.Sprintf(
				"restore it (`mlflow experiments restore --experiment-id %s`), or name another: %s%s#NAME",
				found.Experiment.ID, Scheme, c.URL)}
	}
	return found.Experiment.ID, nil
}

// find returns the run with a key; nil if there is none. Of several, a complete one is taken.
func (c *Client) find(ctx context.Context, experiment, key string) (*place, error) {
	var found struct {
		Runs []struct {
			Info info `json:"info"`
			Data struct {
				Tags []struct {
					Key   string `json:"key"`
					Value string `json:"value"`
				} `json:"tags"`
			} `json:"data"`
		} `json:"runs"`
	}
	err := c.post(ctx, "runs/search", object{"experiment_ids": []string{experiment}, "max_results": 10,
		"filter": fmt.Sprintf("tags.`%s` = '%s'", keyTag, key)}, &found)
	if err != nil {
		return nil, err
	}
	var out *place
	for _, r := range found.Runs {
		p := &place{id: r.Info.ID, artifacts: r.Info.Artifacts}
		for _, tag := range r.Data.Tags {
			p.complete = p.complete || tag.Key == completeTag
		}
		if out == nil || p.complete {
			out = p
		}
	}
	return out, nil
}

// info is what the server tells of a run.
type info struct {
	ID        string `json:"run_id"`
	Artifacts string `json:"artifact_uri"`
}

// create makes a run, with its tags.
func (c *Client) create(ctx context.Context, experiment string, r Run, parent string) (*place, error) {
	tags := []object{{"key": keyTag, "value": r.Key}}
	if parent != "" {
		tags = append(tags, object{"key": parentTag, "value": parent})
	}
	for _, key := range sorted(r.Tags)[:min(len(r.Tags), mostTags-len(tags))] {
		tags = append(tags, object{"key": Name(key), "value": cut(r.Tags[key], mostTag)})
	}
	var made struct {
		Run struct {
			Info info `json:"info"`
		} `json:"run"`
	}
	err := c.post(ctx, "runs/create", object{"experiment_id": experiment, "run_name": r.Name, "tags": tags,
		"start_time": r.Start.UnixMilli()}, &made)
	if err == nil && made.Run.Info.ID == "" {
		err = c.odd("runs/create names no run")
	}
	return &place{id: made.Run.Info.ID, artifacts: made.Run.Info.Artifacts}, err
}

// size of a file in bytes.
func size(path string) (int64, error) {
	f, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return f.Size(), nil
}
