package sglang

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// named maps keys to their names among the server's own arguments; a later name is from an earlier version.
var named = map[string][]string{"tensor_parallel_size": {"tp_size"}, "pipeline_parallel_size": {"pp_size"},
	"data_parallel_size": {"dp_size"}, "expert_parallel_size": {"ep_size"},
	"cuda_graph_max_bs": {"cuda_graph_max_bs_decode", "cuda_graph_max_bs"}}

// inUse reads the server's final arguments, by key. null means that the server has not set the value, except for
// the quantisation.
func inUse(answer []byte) map[string]string {
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	var all map[string]any
	out := map[string]string{}
	if d.Decode(&all) != nil {
		return out
	}
	for _, f := range new(settings).Fields() {
		names, other := named[f.Key]
		if !other {
			names = []string{f.Key}
		}
		for _, name := range names {
			v, told := all[name]
			if told && v != nil {
				out[f.Key] = text(v)
				break
			}
			if told && f.Key == "quantization" {
				out[f.Key] = "none"
			}
		}
	}
	return out
}

// text returns a value in the form of a study.
func text(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(list))
	for i, part := range list {
		parts[i] = fmt.Sprint(part)
	}
	return strings.Join(parts, ",")
}
