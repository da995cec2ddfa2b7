package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a tracking server that keeps what it is sent, with the limits of MLflow 3.17.
type server struct {
	mu          sync.Mutex
	experiments map[string]string
	runs        []*kept
	files       map[string]string
	refuse      func(path string) (status int, body string) // 0: does not refuse
	asked       []string
}

// kept is a run.
type kept struct {
	id, experiment, name, status string
	tags, params                 map[string]string
	metrics                      map[string]float64
	deleted                      bool
}

// start starts a server and a client of it that does not wait.
func start(t *testing.T) (*server, *Client) {
	t.Helper()
	s := &server{experiments: map[string]string{}, files: map[string]string{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	c := New(h.URL, func(string) string { return "" }, func(string) {})
	c.pause = time.Microsecond
	return s, c
}

// ServeHTTP answers as MLflow does.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/2.0/")
	s.asked = append(s.asked, path)
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if s.refuse != nil {
		if status, body := s.refuse(path); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return
		}
	}
	if name, ok := strings.CutPrefix(path, "mlflow-artifacts/artifacts/"); ok {
		s.files[name] = string(text)
		return
	}
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
		fail(w, "INVALID_PARAMETER_VALUE", "Bad Request. Content-Type must be one of ['application/json'].")
		return
	}
	var q struct {
		Name       string              `json:"name"`
		Experiment string              `json:"experiment_id"`
		RunName    string              `json:"run_name"`
		RunID      string              `json:"run_id"`
		Status     string              `json:"status"`
		Filter     string              `json:"filter"`
		Key        string              `json:"key"`
		Value      string              `json:"value"`
		Tags       []map[string]string `json:"tags"`
		Params     []map[string]string `json:"params"`
		Metrics    []struct {
			Key   string  `json:"key"`
			Value float64 `json:"value"`
		} `json:"metrics"`
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &q); err != nil {
			fail(w, "BAD_REQUEST", err.Error())
			return
		}
	}
	var run *kept
	for _, k := range s.runs {
		if k.id == q.RunID && !k.deleted {
			run = k
		}
	}
	answer := map[string]any{}
	switch strings.TrimPrefix(path, "mlflow/") {
	case "experiments/get-by-name":
		id, ok := s.experiments[r.URL.Query().Get("experiment_name")]
		if !ok {
			fail(w, "RESOURCE_DOES_NOT_EXIST", "Could not find experiment")
			return
		}
		stage := "active"
		if id == "deleted" {
			stage = "deleted"
		}
		answer["experiment"] = object{"experiment_id": id, "lifecycle_stage": stage}
	case "experiments/create":
		s.experiments[q.Name] = fmt.Sprint(len(s.experiments) + 1)
		answer["experiment_id"] = s.experiments[q.Name]
	case "runs/create":
		run = &kept{id: fmt.Sprint(len(s.runs) + 1), experiment: q.Experiment, name: q.RunName, status: "RUNNING",
			tags: map[string]string{}, params: map[string]string{}, metrics: map[string]float64{}}
		for _, tag := range q.Tags {
			run.tags[tag["key"]] = tag["value"]
		}
		s.runs = append(s.runs, run)
		answer["run"] = object{"info": s.info(run)}
	case "runs/search":
		list := []object{}
		for _, k := range s.runs {
			if !k.deleted && q.Filter == fmt.Sprintf("tags.`llem.key` = '%s'", k.tags["llem.key"]) {
				tags := []object{}
				for key, value := range k.tags {
					tags = append(tags, object{"key": key, "value": value})
				}
				list = append(list, object{"info": s.info(k), "data": object{"tags": tags}})
			}
		}
		answer["runs"] = list
	case "runs/delete":
		run.deleted = true
	case "runs/update":
		run.status = q.Status
	case "runs/set-tag":
		run.tags[q.Key] = q.Value
	case "runs/log-batch":
		if len(q.Metrics) > 1000 || len(q.Params) > 100 {
			fail(w, "INVALID_PARAMETER_VALUE", "A batch logging request can contain at most 1000 metrics")
			return
		}
		for _, p := range q.Params {
			run.params[p["key"]] = p["value"]
		}
		for _, m := range q.Metrics {
			if m.Key != Name(m.Key) {
				fail(w, "INVALID_PARAMETER_VALUE", "Names may only contain alphanumerics")
				return
			}
			run.metrics[m.Key] = m.Value
		}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		return
	}
}

func (s *server) info(k *kept) object {
	return object{"run_id": k.id, "artifact_uri": "mlflow-artifacts:/1/" + k.id + "/artifacts"}
}

func fail(w http.ResponseWriter, code, message string) {
	status := http.StatusBadRequest
	if code == "RESOURCE_DOES_NOT_EXIST" {
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error_code": %q, "message": %q}`, code, message)
}

// sample is a study with two runs; the first has more numbers and settings than one request may have.
func sample(t *testing.T) (parent Run, runs []Run) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	parent = Run{Name: "study", Key: "p", Status: "FINISHED", Start: at, End: at,
		Files: map[string]string{"study.yaml": file}}
	for _, key := range []string{"a", "b"} {
		runs = append(runs, Run{Name: "run-" + key, Key: key, Status: "FINISHED", Start: at, End: at,
			Tags: map[string]string{"llem.run": key}, Params: map[string]string{"model": "m"},
			Metrics: map[string]float64{"energy.total_j": 3}, Files: map[string]string{"result.json": file}})
	}
	for i := range 2500 {
		runs[0].Metrics[fmt.Sprintf("m*%d", i)] = float64(i)
		if i < 250 {
			runs[0].Params[fmt.Sprintf("p%d", i)] = strings.Repeat("x", 7000)
		}
	}
	return parent, runs
}

// TestPush: everything arrives in pieces that the server takes, and a second push sends nothing.
func TestPush(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	parent, runs := sample(t)
	out, err := c.Push(t.Context(), "e", parent, runs, func(int) {})
	if err != nil || out.Sent != 2 || out.Files != 3 || out.FilesReason != "" {
		t.Fatalf("%+v, %v", out, err)
	}
	first := s.runs[1]
	if len(first.metrics) != 2501 || first.metrics["m_7"] != 7 || len(first.params) != 251 ||
		len(first.params["p1"]) != mostValue || first.status != "FINISHED" || first.tags[parentTag] != s.runs[0].id ||
		first.tags[completeTag] != "yes" || s.files["1/2/artifacts/result.json"] != "{}" {
		t.Errorf("%d metrics, %d params, status %s, tags %v, files %v", len(first.metrics), len(first.params),
			first.status, first.tags, s.files)
	}
	out, err = c.Push(t.Context(), "e", parent, runs, func(int) {})
	if err != nil || out.Sent != 0 || out.Kept != 2 || len(s.runs) != 3 {
		t.Errorf("again: %+v, %v, %d runs", out, err, len(s.runs))
	}
}

// TestInterrupted: a run that was cut off is sent again, a complete one is not.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	parent, runs := sample(t)
	batches := 0
	s.refuse = func(path string) (int, string) {
		if strings.HasSuffix(path, "log-batch") {
			if batches++; batches > 7 { // in the second run
				return 413, ""
			}
		}
		return 0, ""
	}
	_, err := c.Push(t.Context(), "e", parent, runs, func(int) {})
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.Contains(err.Error(), "run-b, after 1 of 2 runs") ||
		!strings.Contains(e.Next, "limit of the proxy") {
		t.Fatalf("%v", err)
	}
	s.refuse = nil
	out, err := c.Push(t.Context(), "e", parent, runs, func(int) {})
	if err != nil || out.Sent != 1 || out.Kept != 1 || out.Again != 1 || !s.runs[2].deleted {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestRefusals: each answer has its message and next step; what may vanish is tried again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, q := range []struct {
		status     int
		body       string
		want, next string
		asked      int
	}{
		{401, "", "401 Unauthorized", "MLFLOW_TRACKING_TOKEN", 1},
		{403, "", "403 Forbidden", "MLFLOW_TRACKING_USERNAME", 1},
		{302, "", "302 Found", "MLFLOW_TRACKING_TOKEN", 1},
		{404, "<html>", "is not an MLflow tracking server", "mlflow server", 1},
		{429, "", "429 Too Many Requests", "push again later", tries},
		{503, "", "503 Service Unavailable", "push again later", tries},
		{400, `{"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid value \"e\" for experiment"}`,
			`Invalid value "e" for experiment`, "#NAME", 1},
		{200, "<html>", "is not an MLflow tracking server", "mlflow server", 1},
	} {
		s, c := start(t)
		parent, runs := sample(t)
		s.refuse = func(string) (int, string) { return q.status, q.body }
		_, err := c.Push(t.Context(), "e", parent, runs, func(int) {})
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(e.What, q.want) || !strings.Contains(e.Next, q.next) || len(s.asked) != q.asked {
			t.Errorf("%d: %v after %d requests, want %q and %q", q.status, err, len(s.asked), q.want, q.next)
		}
	}
	s, c := start(t)
	parent, runs := sample(t)
	s.experiments["e"] = "deleted"
	if _, err := c.Push(t.Context(), "e", parent, runs, func(int) {}); err == nil ||
		!strings.Contains(err.Error(), "is deleted") {
		t.Errorf("a deleted experiment: %v", err)
	}
	gone := New("http://127.0.0.1:1", func(string) string { return "" }, func(string) {})
	gone.pause = time.Microsecond
	_, err := gone.Push(t.Context(), "e", parent, runs, func(int) {})
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.What, "cannot be reached") || e.Next == "" {
		t.Errorf("no server: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Push(ctx, "e", parent, runs, func(int) {}); err == nil {
		t.Error("a cancelled push succeeds")
	}
}

// TestWithoutArtifacts: a server that keeps artifacts elsewhere gets the numbers, and the reason is told.
func TestWithoutArtifacts(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	parent, runs := sample(t)
	s.refuse = func(path string) (int, string) {
		if strings.HasPrefix(path, "mlflow-artifacts") {
			return 404, ""
		}
		return 0, ""
	}
	out, err := c.Push(t.Context(), "e", parent, runs, func(int) {})
	if err != nil || out.Files != 0 || out.FilesReason == "" || out.Sent != 2 {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestParse: addresses, and what is not one.
func TestParse(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MLFLOW_TRACKING_URI": "https://t.example/", "MLFLOW_EXPERIMENT_NAME": "mine"}
	for text, want := range map[string]Target{
		"mlflow:http://h:5000":    {"http://h:5000", "mine"},
		"mlflow:http://h:5000/#x": {"http://h:5000", "x"},
		"mlflow:":                 {"https://t.example", "mine"},
	} {
		got, err := Parse(text, func(name string) string { return env[name] })
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"mlflow:", "mlflow:sqlite:///x.db", "mlflow:./mlruns", "mlflow:http://a:b@h"} {
		_, err := Parse(text, func(string) string { return "" })
		if e, ok := errors.AsType[*Error](err); !ok || !e.Usage || e.Next == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{"a*b": "a_b", "µ/x": "_/x", "../a": "a", "": "_",
		"energy.total_j":         "energy.total_j",
		strings.Repeat("a", 300): strings.Repeat("a", 247) + "..."} {
		if got := Name(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
