package result

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/study"
)

// Why latencies are missing in runs of versions that had one stamp for the arrival of a request
// and the start of its service.
const (
	earlierResponse = "the run is of an earlier llem, whose latencies on engines that queue requests began with the " +
		"queue: they are response times here, and what of them is service is not known"
	earlierService = "the run is of an earlier llem, whose latencies began with the static batch: when its requests " +
		"arrived is not known"
)

// convert gives the latencies of an earlier version the names that they have now. It had time to
// the first token and end to end since the submission of a request: with the start of its batch,
// or into the engine's own queue.
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

// queues reports whether an engine of earlier versions was given requests before it had room for
// them: servers, and engines that batch continuously.
func queues(e study.Experiment) bool {
	var section struct {
		Batching string `json:"batching"`
	}
	if err := json.Unmarshal([]byte(e.Section), &section); err == nil && section.Batching == "continuous" {
		return true
	}
	return slices.Contains([]string{"vllm", "sglang", "tensorrt", "llamacpp"}, e.Backend)
}

// Earlier reports whether the values are of a version that had one stamp for the arrival of a
// request and the start of its service.
func (v Values) Earlier() bool {
	return earlier(func(place int) bool {
		_, ok := v.at(place)
		return ok
	})
}

// mixed reports whether the means of a configuration are of an earlier version and hold response
// times under the names of service times.
func (e *ExperimentSummary) mixed() bool {
	return queues(e.Config) && earlier(func(place int) bool {
		_, ok := e.Metrics.Get(metricInfos[place].Name)
		return ok
	})
}

// earlier reports whether there are times to the first token, and none from the arrival.
func earlier(has func(place int) bool) bool {
	return slices.ContainsFunc(servicePlaces, has) && !slices.ContainsFunc(responsePlaces, has)
}

// servicePlaces are those of the times to the first token among the metrics, and responsePlaces
// those of the same times from the arrival.
var (
	servicePlaces  = placesOf("latency.ttft_ms.")
	responsePlaces = placesOf(responseName("latency.ttft_ms."))
)

// placesOf are the places of metrics whose names begin so.
func placesOf(prefix string) (places []int) {
	for i := range metricInfos {
		if strings.HasPrefix(metricInfos[i].Name, prefix) {
			places = append(places, i)
		}
	}
	return places
}

// responseName is the metric that has the response time to that of a service time.
func responseName(service string) string {
	return strings.Replace(service, "latency.", "latency.response_", 1)
}
