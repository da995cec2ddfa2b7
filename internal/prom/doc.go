// Package prom parses metrics pages in the text format of Prometheus, and the names of power and energy
// metrics of such a page in a study.
//
// A list of targets, separated by commas or spaces, has entries of two forms:
//
//	[name=]http://host:9400/metrics
//	name=http://host:port/path#metric{label="value",…}:unit
//
// The first is the page of a dcgm-exporter; its GPUs are detected, and its default name is dcgm. The second
// is any metric: a gauge of power in W or mW, or a counter of energy in J, mJ, Wh or kWh. The labels may be
// omitted if the metric has one series. Two entries with the same name, one of power and one of energy,
// describe one device.
//
// The package uses neither network nor files, so that a study can be checked without them.
package prom
