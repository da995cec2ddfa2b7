package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/result"
)

// runJSON runs llem with --json and returns the study.
func runJSON(t *testing.T, env []string, args ...string) *result.StudyResult {
	t.Helper()
	if !engineBuilt() {
		t.Skip("the embedded engine is not in this build (CGO_ENABLED=0)")
	}
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"run", "--json", "-q", "-s", "embedded.threads=1", "-o", t.TempDir()},
		args...)...)
	cmd.Env = append(append(os.Environ(), "LLEM_CACHE="+sharedCache(t)), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("llem %v: %v\n%s%s", args, err, stderr.String(), out)
	}
	var s result.StudyResult
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("standard output is not one JSON document: %v\n%.300s", err, out)
	}
	return &s
}

// TestHubModel measures a model that a server like the Hugging Face hub has.
func TestHubModel(t *testing.T) {
	t.Parallel()
	shape, err := shape.Lookup("tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "model.gguf")
	if err := model.WriteGGUF(t.Context(), file, shape.Config, gguf.Q8_0, 3, nil); err != nil {
		t.Fatal(err)
	}
	hub := httptest.NewServer(hubOf(t, file))
	defer hub.Close()
	env := []string{"HF_ENDPOINT=" + hub.URL, "HF_TOKEN=hf_secret", "HF_HUB_CACHE=" + t.TempDir(), "HF_HUB_OFFLINE="}
	rec := runJSON(t, env, "-m", "test/tiny", "-n", "2", "--input-tokens", "8", "--output-tokens", "3").Experiment()
	if rec == nil || rec.Status != result.OK || rec.Tokens.Output != 6 || rec.Backend.DType != "q8_0" || rec.Synthetic {
		t.Errorf("record = %+v, want a measured q8_0 model that is not synthetic", rec)
	}
}

// hubOf serves one repository with one GGUF file to clients with the token.
func hubOf(t *testing.T, file string) http.Handler {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	etag, commit := hex.EncodeToString(sum[:]), strings.Repeat("ab", 20)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/test/tiny/revision/main", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":"test/tiny","sha":%q,"siblings":[{"rfilename":"model.gguf"},`+
			`{"rfilename":"README.md"}]}`, commit)
	})
	mux.HandleFunc("/test/tiny/resolve/"+commit+"/model.gguf", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("X-Linked-Etag", `"`+etag+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
		w.Header().Set("Etag", `"`+etag+`"`)
		http.ServeFile(w, r, file)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hf_secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// TestEqualWorkOnBothBackends: one workload gives the same token ids and counts
// to every backend of a tokenizer. It needs a Python with torch.
func TestEqualWorkOnBothBackends(t *testing.T) {
	python := os.Getenv("LLEM_TEST_PYTHON")
	if python == "" {
		t.Skip("LLEM_TEST_PYTHON does not name a Python with torch and transformers")
	}
	common := []string{"-m", "random:tiny-qwen3", "-n", "5", "--input-tokens", "40", "--output-tokens", "6",
		"--batch-size", "2", "--dtype", "float32", "--python", python, "-s", "energy.sources=none"}
	for _, dataset := range []string{"builtin", "synthetic"} {
		args := append([]string{"-s", "workload.dataset=" + dataset}, common...)
		a := runJSON(t, nil, append(args, "-b", "embedded")...).Experiment()
		b := runJSON(t, nil, append(args, "-b", "pytorch")...).Experiment()
		if a.WorkloadHash == "" || a.WorkloadHash != b.WorkloadHash {
			t.Errorf("%s: workload hashes %q and %q, want equal ones", dataset, a.WorkloadHash, b.WorkloadHash)
		}
		if *a.Tokens != *b.Tokens {
			t.Errorf("%s: tokens %+v and %+v, want equal counts", dataset, *a.Tokens, *b.Tokens)
		}
		if a.Compute.FLOPs != b.Compute.FLOPs {
			t.Errorf("%s: FLOPs %g and %g, want equal ones", dataset, a.Compute.FLOPs, b.Compute.FLOPs)
		}
		if a.ID == b.ID {
			t.Error("two backends share one id")
		}
	}
}

// TestPyTorchMissing: an interpreter without torch starts no run, and the message has the command that helps.
func TestPyTorchMissing(t *testing.T) {
	t.Parallel()
	if !engineBuilt() {
		t.Skip("the embedded engine is not in this build (CGO_ENABLED=0)")
	}
	bare := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(bare, []byte("#!/bin/sh\nexec python3 -S -I \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "-m", "random:tiny-llama", "-b", "pytorch", "--python", bare, "-q", "-o",
		t.TempDir())
	cmd.Env = append(os.Environ(), "LLEM_CACHE="+sharedCache(t))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitUsage {
		t.Errorf("exit: %v\n%s", err, out)
	}
	for _, want := range []string{"no run was started", "pip install", "torch"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}
