package llamacpp

import (
	"regexp"
	"strconv"

	"github.com/llenergymeasure/llem/internal/asked"
)

// inUse matches the settings that the server prints when it creates its context, by key.
var inUse = map[string][]*regexp.Regexp{
	"parallel":      {number("n_seq_max")},
	"ctx_size":      {number("n_ctx")},
	"batch_tokens":  {number("n_batch")},
	"ubatch_tokens": {number("n_ubatch")},
	"flash_attn": {regexp.MustCompile(`Flash Attention was auto, set to (enabled|disabled)`),
		regexp.MustCompile(`llama_context: flash_attn +=\s*(enabled|disabled|1|0)\b`)},
	"cache_type_k":  {regexp.MustCompile(`\bK \((\w+)\):`)},
	"cache_type_v":  {regexp.MustCompile(`\bV \((\w+)\):`)},
	"threads":       {regexp.MustCompile(`system_info: n_threads = ([0-9]+)`)},
	"threads_batch": {regexp.MustCompile(`system_info: .*n_threads_batch = ([0-9]+)`)},
	"kv_unified":    {regexp.MustCompile(`llama_context: kv_unified +=\s*(true|false)`)},
}

func number(name string) *regexp.Regexp {
	return regexp.MustCompile(`llama_context: ` + name + ` +=\s*([0-9]+)`)
}

// offloaded matches the number of layers on GPUs and the total.
var offloaded = regexp.MustCompile(`offloaded ([0-9]+)/([0-9]+) layers to GPU`)

// printed reads the settings from the server's output, by key. wanted is the requested n_gpu_layers: a number of
// all layers or more means all of them.
func printed(text, wanted string) map[string]string {
	out := asked.Found(text, inUse)
	if v, ok := out["flash_attn"]; ok {
		out["flash_attn"] = strconv.FormatBool(v == "enabled" || v == "1")
	}
	m := offloaded.FindStringSubmatch(text)
	if m == nil {
		return out
	}
	out["n_gpu_layers"] = m[1]
	if m[1] == m[2] {
		out["n_gpu_layers"] = "all"
		n, errWanted := strconv.Atoi(wanted)
		of, err := strconv.Atoi(m[2])
		if errWanted == nil && err == nil && n >= of {
			out["n_gpu_layers"] = wanted
		}
	}
	return out
}
