package lines

import "iter"

// partNumbers bounds a line of a log by the numbers in it: about 2 MiB.
const partNumbers = 100_000

// Parts cuts a log into pieces of at most partNumbers in weight, but of one entry
// at least.
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
