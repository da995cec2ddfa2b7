package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// otherNames maps keys in files and options of other tools to the dotted key, or the name within the same section.
var otherNames = map[string]string{
	"tp": "tensor_parallel_size", "tp_size": "tensor_parallel_size", "pp": "pipeline_parallel_size",
	"pp_size": "pipeline_parallel_size",
	"dp":      "data_parallel_size", "dp_size": "data_parallel_size", "ep_size": "expert_parallel_size",
	"ngl": "n_gpu_layers", "np": "parallel",
	"cuda_graph_max_bs_decode": "cuda_graph_max_bs", "kv_cache_free_gpu_memory_fraction": "free_gpu_memory_fraction",
	"engine": "backend", "engines": "backend", "backends": "backend",
	"precision": "dtype", "fp_precision": "dtype", "quantization": "dtype",
	"n_prompts": "workload.prompts", "num_prompts": "workload.prompts", "num_input_prompts": "workload.prompts",
	"max_input_tokens": "workload.input_tokens", "max_output_tokens": "workload.output_tokens",
	"max_new_tokens": "workload.output_tokens",
	"task":           "workload", "n_cycles": "execution.cycles", "num_cycles": "execution.cycles",
	"repeats": "execution.cycles", "repeat": "execution.cycles",
	"runs": "execution.cycles", "experiment_order": "execution.order", "study_execution": "execution",
	"study_name":             "name",
	"experiment_gap_seconds": "execution.gap_seconds", "max_consecutive_failures": "execution.max_failures",
	"grid": "sweep", "matrix": "sweep", "parameters": "sweep", "cases": "experiments", "points": "experiments",
	"scenarios": "experiments",
	"extends":   "base", "include": "base", "inherit": "base", "random_seed": "seed", "n_warmup": "warmup.runs",
	"filter": "sweep.where", "exclude": "sweep.where", "zip": "sweep.zip", "groups": "sweep.groups",
	"link": "sweep.link", "where": "sweep.where",
}

// longestKey exceeds the length of any key, in bytes: comparing a longer text is slow.
const longestKey = 200

// suggest finds the intended key: by its name in another tool, a similar name on the same level, or the same name
// elsewhere. It is spelled as the file spells it.
func (s *scope) suggest(key, written string) string {
	if len(key) > longestKey {
		return "no key is that long"
	}
	parent, name := "", key
	if i := strings.LastIndex(key, "."); i >= 0 {
		parent, name = key[:i], key[i+1:]
	}
	if _, own := s.set.OwnKinds[key]; own {
		return "it belongs to a machine: write it into your own settings (`llem config` shows where), or set " +
			keys.Variable(key)
	}
	siblings := s.children(parent)
	here := func(name2 string) string {
		return fmt.Sprintf("did you mean %q?", strings.TrimSuffix(written, name)+name2)
	}
	other, ok := otherNames[name]
	if !ok {
		other, ok = s.set.Aliases[name]
	}
	if ok {
		if slices.Contains(siblings, other) {
			return here(other)
		}
		if s.known(other) || s.isPrefix(other) {
			return fmt.Sprintf("did you mean %s?", other)
		}
	}
	if s.in != "" && (slices.Contains(studyKeys(s.set), key) || strings.HasPrefix(key, "execution")) {
		return "write it at the top level of the file"
	}
	if meant := near.Best(name, siblings); meant != "" {
		return here(meant)
	}
	if meant := containing(name, siblings); meant != "" {
		return here(meant)
	}
	if meant := beginning(name, siblings); meant != "" {
		return here(meant)
	}
	dotted := s.dotted()
	var elsewhere []string
	for _, other := range dotted {
		if strings.HasSuffix(other, "."+name) {
			elsewhere = append(elsewhere, other)
		}
	}
	if len(elsewhere) > 0 {
		return fmt.Sprintf("did you mean %s?", strings.Join(elsewhere, " or "))
	}
	if meant := near.Best(key, dotted); meant != "" && near.Distance(key, meant) <= 2 {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	if len(siblings) == 0 {
		siblings = s.children("")
	}
	return "known keys here: " + strings.Join(siblings, ", ")
}

// containing finds the one name that contains the word, such as batch_size for batch.
func containing(word string, names []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") }
	found := ""
	for _, n := range names {
		if len(word) >= 3 && strings.Contains(plain(n), plain(word)) {
			if found != "" {
				return ""
			}
			found = n
		}
	}
	return found
}

// beginning finds the one name with a word similar to the given one, such as batch_size for bach.
func beginning(word string, names []string) string {
	found := ""
	for _, n := range names {
		for part := range strings.SplitSeq(n, "_") {
			if len(part) < 4 || near.Distance(strings.ToLower(word), part) > 1 {
				continue
			}
			if found != "" && found != n {
				return ""
			}
			found = n
		}
	}
	return found
}

// dotted lists all dotted keys of the scope.
func (s *scope) dotted() []string {
	out := slices.Clone(s.extra)
	for _, f := range s.set.Fields {
		out = append(out, f.Key)
	}
	return out
}

// lacks fails for a key that an engine does not have and that others do; it reports whether it is one.
func (b *Source) lacks(at *grammar.Error, key string) bool {
	l, ok := b.Lacks[key]
	if ok {
		b.Fail(at, l.Next, "unknown key %q: %s", key, l.Why)
	}
	return ok
}
