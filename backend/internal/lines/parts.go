package lines

import "iter"

// partNumbers bounds the count of numbers in one line of a log: about 2 MiB.
const partNumbers = 100_000

// Parts splits a log into pieces with a weight of at most partNumbers each, but at least one entry.
func Parts[T any](all []T, weight func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		start, sum := 0, 0
		for i, entry := range all {
			w := weight(entry)
			if i > start && sum+w > partNumbers {
				if !yield(all[start:i]) {
					return
				}
				start, sum = i, 0
			}
			sum += w
		}
		if start < len(all) {
			yield(all[start:])
		}
	}
}
