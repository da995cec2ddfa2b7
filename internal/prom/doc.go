// Package prom knows metrics pages in the text format of Prometheus: how a study
// names a power or energy metric of such a page, and how to read its value.
//
// A list of targets, separated by commas or spaces, holds entries of two forms:
//
//	[name=]http://host:9400/metrics
//	name=http://host:port/path#metric{label="value",…}:unit
//
// The first is the page of a dcgm-exporter; its GPUs are found by themselves and
// its name is dcgm if none is given. The second is any metric: a gauge of power in
// W or mW, or a counter of energy in J, mJ, Wh or kWh. The labels may be left out
// where the metric has one series. Two entries of one name, one of power and one of
// energy, describe one device.
//
// The package reads no network and no file, so that a study can be checked without
// either.
package prom
