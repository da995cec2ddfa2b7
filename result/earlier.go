package result

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/study"
)

// Why latencies are missing in runs of versions with a single stamp for the arrival of a request and the
// start of its service.
const (
	earlierResponse = "the run is from an earlier version of llem, whose latencies on engines that queue requests " +
		"included the " +
		"queue: they are response times, and the service times are unknown"
	earlierService = "the run is from an earlier version of llem, whose latencies began with the static batch: " +
		"the arrival of " +
		"its requests is unknown"
)

// convert renames the latencies of an earlier version. It had time to the first token and end to end since
// the submission of a request: the start of its batch, or the entry to the engine's queue.
func (l *Latency) convert(e study.Experiment) {
	if l == nil || l.TTFT == nil || l.ResponseTTFT != nil || l.Queue != nil || l.Reason != "" {
		return
	}
	l.Reason = earlierService
	if queues(e) {
		l.Reason, l.ResponseTTFT, l.ResponseE2E = earlierResponse, l.TTFT, l.E2E
		l.TTFT, l.E2E = nil, nil
	}
}

// queues reports whether an engine received requests from earlier versions before it had room for them:
// servers, and engines with continuous batching.
func queues(e study.Experiment) bool {
	var section struct {
		Batching string `json:"batching"`
	}
	if err := json.Unmarshal([]byte(e.Section), &section); err == nil && section.Batching == "continuous" {
		return true
	}
	return slices.Contains([]string{"vllm", "sglang", "tensorrt", "llamacpp"}, e.Backend)
}

// Earlier reports whether the values are from a version with a single stamp for the arrival of a request and
// the start of its service.
func (v Values) Earlier() bool {
	return earlier(func(place int) bool {
		_, ok := v.at(place)
		return ok
	})
}

// mixed reports whether the means of a configuration are from an earlier version and contain response times
// under the names of service times.
func (e *ExperimentSummary) mixed() bool {
	return queues(e.Config) && earlier(func(place int) bool {
		_, ok := e.Metrics.Get(metricInfos[place].Name)
		return ok
	})
}

// earlier reports whether there are times to the first token, but none from the arrival.
func earlier(has func(place int) bool) bool {
	return slices.ContainsFunc(servicePlaces, has) && !slices.ContainsFunc(responsePlaces, has)
}

// servicePlaces are the indices of the times to the first token among the metrics, and responsePlaces the
// indices of the same times from the arrival.
var (
	servicePlaces  = placesOf("latency.ttft_ms.")
	responsePlaces = placesOf(responseName("latency.ttft_ms."))
)

// placesOf returns the indices of metrics whose names have the prefix.
func placesOf(prefix string) (places []int) {
	for i := range metricInfos {
		if strings.HasPrefix(metricInfos[i].Name, prefix) {
			places = append(places, i)
		}
	}
	return places
}

// responseName returns the response-time metric of a service-time metric.
func responseName(service string) string {
	return strings.Replace(service, "latency.", "latency.response_", 1)
}
