package report

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// TTFT is a service time. The time that a request waited before the engine began is a separate
// column, if it is noticeable; if it is unknown, the column is the response time, which includes
// both.
const (
	queueMetric    = "latency.queue_ms.p50"
	responseMetric = "latency.response_ttft_ms.p50"
)

var queueHead, responseHead = metric.Head(queueMetric), metric.Head(responseMetric)

// queues records which of the two columns are needed.
type queues struct{ waited, unknown bool }

// noticeable is the least queue that is shown, as a fraction of the service time.
const noticeable = 0.01

// add adds mean times; absent times are unknown.
func (q *queues) add(queue, service, response float64, isQueue, isService, isResponse bool) {
	q.waited = q.waited || isQueue && isService && queue > noticeable*service
	q.unknown = q.unknown || isResponse && !isService && response > 0
}

// queuesOf looks at runs.
func queuesOf(runs []*result.Record) (q queues) {
	for _, r := range runs {
		if l := r.Latency; r.Status == result.OK && l != nil {
			queue, isQueue := mean(l.Queue)
			service, isService := mean(l.TTFT)
			response, isResponse := mean(l.ResponseTTFT)
			q.add(queue, service, response, isQueue, isService, isResponse)
		}
	}
	return q
}

func mean(d *result.Distribution) (float64, bool) {
	if d == nil {
		return 0, false
	}
	return d.Mean, true
}

// queuesIn looks at configurations.
func queuesIn(experiments []result.ExperimentSummary) (q queues) {
	for i := range experiments {
		mean := func(name string) (float64, bool) {
			m, ok := experiments[i].Metrics.Get("latency." + name + ".mean")
			return m.Mean, ok
		}
		queue, isQueue := mean("queue_ms")
		service, isService := mean("ttft_ms")
		response, isResponse := mean("response_ttft_ms")
		q.add(queue, service, response, isQueue, isService, isResponse)
	}
	return q
}

// hides reports whether a column is not needed.
func (q queues) hides(head string) bool {
	return head == queueHead && !q.waited || head == responseHead && !q.unknown
}

// columns drops columns that are neither needed nor requested.
func (q queues) columns(all []column) []column {
	return slices.DeleteFunc(slices.Clone(all), func(c column) bool { return !c.asked && q.hides(c.head()) })
}

// blank empties the columns of a table that are not needed.
func (q queues) blank(t table.Table) table.Table {
	for at, head := range t.Head {
		if at < t.Names || !q.hides(head) {
			continue
		}
		for _, row := range t.Rows {
			row[at] = missing
		}
	}
	return t
}

// firstToken returns the time to the first token in words: the service time and the queue, or the
// response time if the two are unknown.
func firstToken(l *result.Latency) string {
	switch {
	case l == nil:
	case l.TTFT != nil && l.Queue != nil && l.Queue.Mean > noticeable*l.TTFT.Mean:
		return fmt.Sprintf(", TTFT p50 %s after %s in the queue", p50(l.TTFT), p50(l.Queue))
	case l.TTFT != nil:
		return ", TTFT p50 " + p50(l.TTFT)
	case l.ResponseTTFT != nil:
		return ", TTFT p50 with the queue " + p50(l.ResponseTTFT)
	}
	return ""
}
