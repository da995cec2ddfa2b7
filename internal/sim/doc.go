// Package sim simulates a GPU with a known truth, so that the results of the whole measurement chain can be
// compared with what really happened.
//
//	Engine ── steps ──▶ backend.Log               (what the product sees of the work)
//	   │
//	   └── Model ── power segments ──▶ File ◀── libnvidia-ml.so.1 (nvml/nvml.c) ◀── power/sensors
//	                                    ▲   ◀── Meter (the same ring and counter in Go)
//	                                    └────── Truth (joules of each phase)
//
// A [Model] converts each step of a simulated [Engine] to power over time, which is appended to a shared
// [File]. The true power at any instant is a pure function of that file. Sensors are pure functions of the
// file and the time: [Build] compiles a fake of NVIDIA's management library that answers from it with
// windows, lags, noise and faults as configured in [Sensors], and [Meter] is its simple counterpart for
// demonstrations without a C compiler. [TruthOf] integrates the same segments over the true steps.
//
// Everything runs in real time (the product's fake backend) or in virtual time inside a testing/synctest
// bubble, where [Run] measures a [Scenario] of many seconds in a fraction of a second. [Grid] lists scenarios
// for accuracy tables.
package sim
