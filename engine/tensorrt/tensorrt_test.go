package tensorrt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/enginetest"
	"github.com/llenergymeasure/llem/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.Main(map[string]servertest.Dialect{name: servertest.TensorRT{}})
	m.Run()
}

// stub is the backend with a stub as TensorRT-LLM's program.
func stub(s servertest.Stubbed) backend.Backend { return enginetest.Stub(newBackend(""), s) }

func TestConformance(t *testing.T) {
	enginetest.Conformance(t, name, stub, servertest.Spec(t), nil, nil)
}

func TestStub(t *testing.T) {
	servertest.Suite{Backend: stub, Spec: servertest.Spec(t), CountsEarly: true,
		Caching: `{"enable_block_reuse":true}`}.Run(t, name)
}

// TestCommandLine checks the arguments of the engine, and its configuration file.
func TestCommandLine(t *testing.T) {
	s := servertest.Spec(t)
	s.MaxContext = 64
	s.Options = []byte(`{"max_batch_size":64,"max_seq_len":null,"kv_cache_dtype":"fp8","free_gpu_memory_fraction":0.5,
		"cuda_graph_max_batch_size":32,
		"cuda_graph_padding":true,"torch_compile":true,"moe_backend":"CUTLASS","disable_overlap_scheduler":true,
		"tensor_parallel_size":2,"cuda_graph_batch_sizes":"1,2,4","max_cache_tokens":4096,
		"speculative_decoding_type":"MTP","speculative_max_draft_len":3}`)
	l, err := (&dialect{command: backend.Command{Path: "/no/such/trtllm-serve"}}).Launch(t.Context(), s, 1234)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.Command.Args, " ")
	want := "serve " + s.Path + " --backend pytorch --host 127.0.0.1 --port 1234 --config "
	file, ok := strings.CutPrefix(got, want)
	if !ok {
		t.Fatalf("%s\nlacks %s", got, want)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	if want := (map[string]any{
		"dtype": "bfloat16", "load_format": "dummy", "max_seq_len": 64.0, "max_batch_size": 64.0,
		"tensor_parallel_size":   2.0,
		"enable_iter_perf_stats": true, "iter_stats_max_iterations": 10000.0, "disable_overlap_scheduler": true,
		"kv_cache_config": map[string]any{"enable_block_reuse": false, "dtype": "fp8",
			"free_gpu_memory_fraction": 0.5, "max_tokens": 4096.0},
		"cuda_graph_config": map[string]any{"max_batch_size": 32.0, "enable_padding": true,
			"batch_sizes": []any{1.0, 2.0, 4.0}},
		"speculative_config":   map[string]any{"decoding_type": "MTP", "max_draft_len": 3.0},
		"torch_compile_config": map[string]any{},
		"moe_config":           map[string]any{"backend": "CUTLASS"},
	}); !reflect.DeepEqual(config, want) {
		t.Errorf("%s\nwant %v", b, want)
	}
	l.Cleanup()
	if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestSampling(t *testing.T) {
	servertest.Sampling(t, func(s backend.Spec, p backend.Prompt, output int) []byte {
		return (&dialect{}).Request(s, p, output).Body
	})
}

func TestContainer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	servertest.Container(t, name, stub, servertest.Spec(t))
}

// TestDescribe: the settings in the server's output, by key.
func TestDescribe(t *testing.T) {
	log := filepath.Join(t.TempDir(), "engine.log")
	text := "[TRT-LLM] [RANK 0] [I] max_seq_len=2048, max_num_requests=16, max_num_tokens=8192, max_batch_size=16\n" +
		"[TensorRT-LLM][INFO] Number of tokens per block: 32.\n"
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var l backend.Loaded
	if err := (&dialect{log: log}).Describe(t.Context(), nil, &l); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"max_seq_len": "2048", "max_batch_size": "16", "max_num_tokens": "8192",
		"tokens_per_block": "32"}
	if !reflect.DeepEqual(l.Settings, want) {
		t.Errorf("%v, want %v", l.Settings, want)
	}
}
