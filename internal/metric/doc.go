// Package metric is the one table of the numbers by which runs are compared: what each is called in result.json, at the
// head of its column and at the axis of a figure, its unit, and its meaning. It finds the metric that a user names by
// any of these, and reads the limits of a search, such as "TTFT p99 < 200". It knows names only: package result reads
// the numbers of a record by them.
package metric
