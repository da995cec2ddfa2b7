package pacing

import (
	"cmp"
	"container/heap"
	"math"
)

// Due is a piece of work, by index, and when it is due.
type Due struct {
	At int64 // of CLOCK_MONOTONIC in nanoseconds
	I  int
}

// Timeline is what is to come, the earliest first, and of equal times the lowest index. The zero value is empty.
type Timeline struct{ list dues }

// Add adds a piece of work.
func (t *Timeline) Add(d Due) { heap.Push(&t.list, d) }

// Next returns what comes next; if there is nothing, something that is never due.
func (t *Timeline) Next() Due {
	if len(t.list) == 0 {
		return Due{At: math.MaxInt64}
	}
	return t.list[0]
}

// Take returns and removes what comes next. There must be something.
func (t *Timeline) Take() Due {
	d, _ := heap.Pop(&t.list).(Due)
	return d
}

// dues implements heap.Interface.
type dues []Due

func (t dues) Len() int           { return len(t) }
func (t dues) Less(a, b int) bool { return cmp.Or(cmp.Compare(t[a].At, t[b].At), t[a].I-t[b].I) < 0 }
func (t dues) Swap(a, b int)      { t[a], t[b] = t[b], t[a] }
func (t *dues) Push(v any)        { *t = append(*t, v.(Due)) }
func (t *dues) Pop() any {
	last := len(*t) - 1
	v := (*t)[last]
	*t = (*t)[:last]
	return v
}
