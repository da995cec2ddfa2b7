package view

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// TTFT is a service time. The time that a request waited before the engine began is a separate
// column, if it is noticeable; if it is unknown, the column is the response time, which includes
// both.
//
// Metrics of the two columns.
const (
	QueueMetric    = "latency.queue_ms.p50"
	ResponseMetric = "latency.response_ttft_ms.p50"
)

var queueHead, responseHead = metric.Head(QueueMetric), metric.Head(ResponseMetric)

// Queues records which of the two columns are needed: requests waited, or their service times are unknown.
type Queues struct{ Waited, Unknown bool }

// Noticeable is the least queue that is shown, as a fraction of the service time.
const Noticeable = 0.01

// add adds mean times; absent times are unknown.
func (q *Queues) add(queue, service, response float64, isQueue, isService, isResponse bool) {
	q.Waited = q.Waited || isQueue && isService && queue > Noticeable*service
	q.Unknown = q.Unknown || isResponse && !isService && response > 0
}

// QueuesOf looks at runs.
func QueuesOf(runs []*result.Record) (q Queues) {
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

// QueuesIn looks at configurations.
func QueuesIn(experiments []result.ExperimentSummary) (q Queues) {
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
func (q Queues) hides(head string) bool {
	return head == queueHead && !q.Waited || head == responseHead && !q.Unknown
}

// Columns drops columns that are neither needed nor requested.
func (q Queues) Columns(all []Column) []Column {
	return slices.DeleteFunc(slices.Clone(all), func(c Column) bool { return !c.Asked && q.hides(c.Head()) })
}

// Blank empties the columns of a table that are not needed.
func (q Queues) Blank(t table.Table) table.Table {
	for at, head := range t.Head {
		if at < t.Names || !q.hides(head) {
			continue
		}
		for _, row := range t.Rows {
			row[at] = table.Missing
		}
	}
	return t
}
