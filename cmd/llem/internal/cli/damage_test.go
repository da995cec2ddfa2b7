package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/convert"
	"github.com/llenergymeasure/llem/internal/damage"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/hub/hubtest"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/result"
)

// Why damage to some files may give other values that are as valid.
const (
	byHand    = "a person wrote it: no sum tells what was meant"
	published = "it is another's file without a sum of its own"
	answered  = "another program's answer, of which it alone knows the sum"
)

// TestDamagedFiles reads more than 1,000 damaged copies of everything that the program reads from a disk, through
// the commands or the functions that they call. The streams of engines have tests of their own, beside what reads
// them. LLEM_TEST_DAMAGE=full reads all copies, else a sample.
func TestDamagedFiles(t *testing.T) {
	seed := damage.Seed(t)
	t.Setenv("LLEM_CACHE", sharedCache(t))
	t.Setenv("HF_HUB_OFFLINE", "1")
	c := &corpus{t: t, root: t.TempDir()}
	var all []damage.Tally
	check := func(f damage.Format, copies, sample int) {
		all = append(all, f.Check(t, seed, damage.Number(copies, sample)))
	}
	for _, f := range c.handwritten() {
		check(f, 60, 6)
	}
	for _, f := range c.datasets() {
		check(f, 60, 30)
	}
	for _, f := range c.models() {
		check(f, 60, 12)
	}
	check(c.hub(), 60, 6)
	for _, f := range c.answers() {
		check(f, 60, 6)
	}
	for _, f := range c.study() {
		check(f, 60, 2)
	}
	n := damage.Table(t, all)
	if want := damage.Number(1000, 100); n < want {
		t.Errorf("%d copies, want %d", n, want)
	}
}

// corpus has the intact files.
type corpus struct {
	t    *testing.T
	root string
}

func (c *corpus) path(name ...string) string {
	return filepath.Join(append([]string{c.root}, name...)...)
}

func (c *corpus) write(path string, text []byte) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *corpus) text(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// command runs the program in this process; the error is what it printed, unless the exit code is 0.
func (c *corpus) command(args ...string) (stdout string, err error) {
	var out, errs strings.Builder
	home := map[string]string{"HOME": c.root, "XDG_CONFIG_HOME": c.path("config")}
	code := Main(Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(name string) string { return home[name] }})
	if code != exitOK {
		return out.String(), fmt.Errorf("exit code %d: %s", code, errs.String())
	}
	return out.String(), nil
}

const damagedStudy = `# a study as people write one
name: damaged
model: random:tiny-llama
backend: fake
workload: {dataset: prompts.jsonl, prompts: 2, input_tokens: 16, output_tokens: 8}
warmup:
  runs: 1
baseline: {seconds: 0, resident_seconds: 0}
fake: {speed: 100}
energy: {min_window: 0.3}
sweep:
  fake.batch_size: [1, 2]
execution: {cycles: 2, order: shuffle}
`

const damagedSettings = "energy:\n  price_per_kwh: 0.31\n  pue: 1.2\nexecution: {run_timeout: 20m, max_failures: 3}\n"

const damagedPrompts = `{"prompt": "What is the capital of France, and since when?"}
{"prompt": "Explain photosynthesis to a child."}
{"prompt": "Ein Satz mit Ümlauten und 東京."}
`

// handwritten are the files that people write.
func (c *corpus) handwritten() []damage.Format {
	study, settings := c.path("study.yaml"), c.path("config", "llem", "config.yaml")
	c.write(study, []byte(damagedStudy))
	c.write(c.path("prompts.jsonl"), []byte(damagedPrompts))
	dryRun := func(path string, intact []byte) func([]byte) (string, error) {
		return func(text []byte) (string, error) {
			c.write(path, text)
			defer c.write(path, intact)
			says, err := c.command("run", study, "--dry-run", "--json", "-s",
				"workload.dataset="+c.path("prompts.jsonl"))
			switch {
			case err == nil || !strings.Contains(says, `"findings"`):
			case strings.HasSuffix(path, ".jsonl"):
				err = fmt.Errorf("%w\n%s", err, says)
			default:
				err = nil // it is read, and what it asks for is judged
			}
			return says, err
		}
	}
	return []damage.Format{
		{Name: "study file", Names: []string{"study.yaml"}, Intact: []byte(damagedStudy), ByNature: byHand,
			Read: dryRun(study, []byte(damagedStudy))},
		{Name: "user settings", Names: []string{"config.yaml"}, Intact: []byte(damagedSettings), ByNature: byHand,
			Read: dryRun(settings, nil)},
		{Name: "data set, front door", Names: []string{"prompts.jsonl"}, Intact: []byte(damagedPrompts),
			ByNature: byHand,
			Read:     dryRun(c.path("prompts.jsonl"), []byte(damagedPrompts))},
	}
}

// datasets are the forms of data sets.
func (c *corpus) datasets() []damage.Format {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, strings.Repeat(damagedPrompts, 3))
	_ = w.Close()
	var out []damage.Format
	for _, f := range []struct{ name, text, nature string }{
		{"set.jsonl", damagedPrompts, byHand},
		{"talks.jsonl", `{"messages":[{"role":"user","content":"Hello?"},{"role":"assistant","content":"Yes."}]}` +
			"\n" + `{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}]}` + "\n",
			byHand},
		{"set.json", `[{"prompt": "What is it?"}, {"prompt": "Who was it, and why?"}]`, byHand},
		{"set.csv", "id,prompt\n1,\"What, in short, is it?\"\n2,Who was it\n3,\"He said \"\"no\"\"\"\n", byHand},
		{"set.jsonl.gz", zipped.String(), ""},
	} {
		path := c.path("sets", f.name)
		out = append(out, damage.Format{Name: "data set " + f.name, Names: []string{f.name}, Intact: []byte(f.text),
			ByNature: f.nature, Read: func(text []byte) (string, error) {
				c.write(path, text)
				set, err := workload.Load(path)
				if err != nil {
					return "", err
				}
				return fmt.Sprint(set.Prompts, set.Skipped), nil
			}})
	}
	return out
}

// answers are what other programs answer.
func (c *corpus) answers() []damage.Format {
	const page = `# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Total energy in mJ.
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="GPU-1",modelName="NVIDIA H100"} 123456789
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",modelName="NVIDIA H100"} 70.5 1700000000000
`
	const version = "ggml_cuda_init: found 1 CUDA devices\nversion: 4567 (abcdef12)\nbuilt with cc for x86_64\n"
	said := c.path("bin", "said")
	c.write(c.path("bin", "llama-server"), []byte("#!/bin/sh\nexec cat "+said+"\n"))
	if err := os.Chmod(c.path("bin", "llama-server"), 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.t.Setenv("PATH", c.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	return []damage.Format{
		{Name: "metrics page", Intact: []byte(page), ByNature: answered, Read: func(text []byte) (string, error) {
			series, err := prom.Parse(text, func(name string) bool { return strings.HasPrefix(name, "DCGM_") })
			return fmt.Sprint(series), err
		}},
		{Name: "version of an engine", Names: []string{"llama-server"}, Intact: []byte(version), ByNature: answered,
			Read: func(text []byte) (string, error) {
				c.write(said, text)
				info, err := machine.Backends(nil, "")["llamacpp"].Probe(context.Background())
				return info.Version + info.Device, err
			}},
	}
}

// models are the files of models: numbers follow from their heads, and weights have no sum.
func (c *corpus) models() []damage.Format {
	made := c.path("made", "tiny.gguf")
	c.makeGGUF(made)
	path := c.path("gguf", "model.gguf")
	h, err := shape.ReadGGUF(made)
	if err != nil {
		c.t.Fatal(err)
	}
	whole := c.text(made)
	out := []damage.Format{
		{Name: "GGUF", Names: []string{"model.gguf"}, Intact: whole, Within: int(h.Data), ByNature: "",
			Read: func(text []byte) (string, error) {
				c.write(path, text)
				return countedIn(path)
			}},
	}
	folder := c.path("folder")
	c.makeFolder(folder)
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
		"model.safetensors.index.json", "model-00001-of-00002.safetensors"} {
		path := filepath.Join(folder, name)
		intact, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		f := damage.Format{Name: name, Names: []string{name, folder}, Intact: intact}
		if !strings.Contains(name, "safetensors") {
			f.ByNature = published
		} else if !strings.HasSuffix(name, ".json") {
			f.Within = 8 + int(intact[0]) + int(intact[1])<<8
		}
		f.Read = func(text []byte) (string, error) {
			c.write(path, text)
			defer c.write(path, intact)
			return converted(folder, c.path("converted.gguf"))
		}
		out = append(out, f)
	}
	return out
}

// countedIn is what the numbers of a model are.
func countedIn(path string) (string, error) {
	config, err := shape.FromHFFolder(path)
	if strings.HasSuffix(path, ".gguf") {
		config, err = shape.FromGGUF(path)
	}
	if err != nil {
		return "", err
	}
	bytes, known := config.StoredBytes()
	weights, kv := config.EstimateBytes("float16", 2, 24)
	return fmt.Sprintf("%+v %+v %+v %v %d %d", config.Parameters(),
		config.FLOPs([]shape.Length{{Prompt: 16, Output: 8}}), bytes, known, weights, kv), nil
}

// study are the files of a study that was made.
func (c *corpus) study() []damage.Format {
	dir := c.makeStudy()
	runs, err := filepath.Glob(filepath.Join(dir, result.RunsDir, "*"))
	if err != nil || len(runs) != 2 {
		c.t.Fatalf("runs %v, %v, want two", runs, err)
	}
	kept := c.path("kept")
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		c.t.Fatal(err)
	}
	var out []damage.Format
	add := func(rel string, commands ...string) {
		intact := c.text(filepath.Join(dir, rel))
		if len(intact) == 0 { // the log of an engine that says nothing
			return
		}
		for _, command := range commands {
			out = append(out, damage.Format{Name: kind(rel) + ", " + command, Names: []string{filepath.Base(rel)},
				Intact: intact, Read: func(text []byte) (string, error) {
					c.write(filepath.Join(dir, rel), text)
					defer c.write(filepath.Join(dir, rel), intact)
					return c.readStudy(command, dir, kept)
				}})
		}
	}
	for _, name := range []string{result.SummaryFile} {
		add(name, "report", "recompute")
	}
	for _, name := range []string{store.JournalFile, store.StudyFile} {
		add(name, "report", "recompute", "resume")
	}
	for _, name := range []string{store.EnvFile, store.DoctorFile, "inputs.json", store.ManifestFile} {
		add(name, "report", "recompute", "resume")
	}
	run, err := filepath.Rel(dir, runs[0])
	if err != nil {
		c.t.Fatal(err)
	}
	files, err := os.ReadDir(runs[0])
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(run, f.Name())
		switch f.Name() {
		case result.RecordFile, store.ManifestFile:
			add(name, "report", "recompute", "resume")
		default:
			add(name, "recompute")
		}
	}
	return out
}

// moments are what differs each time.
var moments = regexp.MustCompile(`"finished": "[^"]*"`)

func (c *corpus) readStudy(command, dir, kept string) (string, error) {
	var says string
	var err error
	switch command {
	case "report":
		says, err = c.command("report", "--json", dir)
	case "recompute":
		// What a sum covers is named, whatever it is.
		says, err = c.command("report", "--recompute", dir)
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, says)
		}
	case "resume":
		if _, err = c.command("run", "--resume="+dir, "-q"); err == nil {
			says, err = c.command("report", "--json", dir)
		}
		if strings.Contains(says, string(codes.JournalGone)) { // it was repaired, which the result has on record
			err = errors.New(says)
		}
		c.restore(dir, kept)
	}
	// Runs come in the order of the journal, or of their names if that lost a line.
	lines := strings.Split(strings.ReplaceAll(moments.ReplaceAllString(says, ""), ",\n", "\n"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n"), err
}

// kind is the name of a file, and whether it is of a run.
func kind(rel string) string {
	if filepath.Dir(rel) != "." {
		return "run's " + filepath.Base(rel)
	}
	return rel
}

// restore gives the folder of a study the files that it had.
func (c *corpus) restore(dir, kept string) {
	for _, of := range []string{dir, kept} {
		files, err := filepath.Glob(filepath.Join(of, "*.*"))
		if err != nil {
			c.t.Fatal(err)
		}
		for _, f := range files {
			if of == kept {
				c.write(filepath.Join(dir, filepath.Base(f)), c.text(f))
			} else if err := os.Remove(f); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// makeStudy makes a study of two runs with everything that a run can leave.
func (c *corpus) makeStudy() string {
	path, err := exec.LookPath("llem")
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(path, "run", c.path("study.yaml"), "-q", "-o", c.path("results"), "-s", "execution.cycles=1",
		"-s", "workload.dataset="+c.path("prompts.jsonl"))
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+c.path("none"))
	if text, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%v\n%s", err, text)
	}
	dirs, err := filepath.Glob(c.path("results", "*"))
	if err != nil || len(dirs) != 1 {
		c.t.Fatalf("studies %v, %v, want one", dirs, err)
	}
	return dirs[0]
}

// small is a model of one layer.
func (c *corpus) small() shape.Config {
	s, err := shape.Lookup("tiny-llama")
	if err != nil {
		c.t.Fatal(err)
	}
	m := s.Config
	m.Layers, m.Hidden, m.FFN, m.Vocab = 1, 32, 48, 300
	return m
}

func (c *corpus) makeGGUF(path string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := model.WriteGGUF(c.t.Context(), path, c.small(), gguf.Float16, 1, nil); err != nil {
		c.t.Fatal(err)
	}
}

// makeFolder makes a checkpoint of two files, with the tensors of a llama.
func (c *corpus) makeFolder(folder string) {
	m := c.small()
	if err := model.WriteHFDir(folder, m, gguf.Float16); err != nil {
		c.t.Fatal(err)
	}
	q, kv := int64(m.Heads*m.HeadDim), int64(m.KVHeads*m.HeadDim)
	h, ffn := int64(m.Hidden), int64(m.FFN)
	layer := "model.layers.0."
	parts := []map[string][]int64{
		{"model.embed_tokens.weight": {int64(m.Vocab), h}, layer + "self_attn.q_proj.weight": {q, h},
			layer + "self_attn.k_proj.weight": {kv, h}, layer + "self_attn.v_proj.weight": {kv, h},
			layer + "self_attn.o_proj.weight": {h, q}},
		{"model.norm.weight": {h}, layer + "input_layernorm.weight": {h},
			layer + "post_attention_layernorm.weight": {h}, layer + "mlp.gate_proj.weight": {ffn, h},
			layer + "mlp.up_proj.weight": {ffn, h}, layer + "mlp.down_proj.weight": {h, ffn}},
	}
	where, total := map[string]string{}, 0
	for i, tensors := range parts {
		name := fmt.Sprintf("model-%05d-of-00002.safetensors", i+1)
		head, data := map[string]any{}, []byte{}
		for _, tensor := range slices.Sorted(maps.Keys(tensors)) {
			from := len(data)
			n := int64(1)
			for _, d := range tensors[tensor] {
				n *= d
			}
			for range n {
				data = append(data, byte(len(data)), byte(0x30+len(data)%4)) // 0.125 to 0.5
			}
			head[tensor] = map[string]any{"dtype": "F16", "shape": tensors[tensor],
				"data_offsets": []int{from, len(data)}}
			where[tensor] = name
		}
		text := []byte(sorted(head))
		file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
		c.write(filepath.Join(folder, name), slices.Concat(file, text, data))
		total += len(data)
	}
	c.write(filepath.Join(folder, "model.safetensors.index.json"),
		[]byte(sorted(map[string]any{"metadata": map[string]int{"total_size": total}, "weight_map": where})))
}

// converted is what is known of a checkpoint, and of the file that it becomes: its numbers, its tensors and its
// weights.
func converted(folder, path string) (string, error) {
	numbers, err := countedIn(folder)
	if err != nil {
		return "", err
	}
	size, text, err := asked.Vocabulary(folder)
	if err != nil {
		return "", err
	}
	if err := convert.Folder(context.Background(), folder, path, convert.Options{RopeTheta: 1e4}); err != nil {
		return "", err
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	h, err := gguf.ReadFile(path)
	if err != nil {
		return "", err
	}
	says := fmt.Sprintln(numbers, size, text, sha256.Sum256(file[h.Data:]))
	for _, x := range h.Tensors {
		says += fmt.Sprintln(x)
	}
	return says, nil
}

// hub is a listing of a hub: the files that come by it are the ones that were asked for.
func (c *corpus) hub() damage.Format {
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors.index.json",
		"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} {
		files[name] = c.text(c.path("folder", name))
	}
	h := hubtest.New(c.t, files)
	answer, err := http.Get(h.API.URL + "/api/models/org/damaged/revision/main?blobs=true")
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	listing, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var text []byte
	h.Instead = func(where string, w http.ResponseWriter, r *http.Request) bool {
		if where != "api" || !strings.HasPrefix(r.URL.Path, "/api/models/") {
			return false
		}
		_, _ = w.Write(text)
		return true
	}
	n := 0
	return damage.Format{Name: "listing of a hub", Names: []string{"org/damaged", "org--damaged", h.API.URL},
		Intact: listing, ByNature: answered,
		Read: func(damaged []byte) (string, error) {
			text = damaged
			n++
			c.t.Setenv("HF_HUB_CACHE", c.path("hub", strconv.Itoa(n)))
			id, _ := hub.ParseID("org/damaged")
			dir, _, err := hub.New(hub.Options{Endpoint: h.API.URL}).Fetch(context.Background(), id, "")
			if err != nil {
				return "", err
			}
			defer os.RemoveAll(c.path("hub", strconv.Itoa(n)))
			return converted(dir, c.path("converted.gguf"))
		}}
}

// sorted is a document with its keys in order.
func sorted(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
