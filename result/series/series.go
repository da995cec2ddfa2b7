// Package series defines the Parquet files of a run: power, telemetry and counters of its devices, and the
// requests and steps of its engine.
package series

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"github.com/llenergymeasure/llem/internal/disk"
)

// All is the raw data of a run.
type All struct {
	// Power is power.parquet.
	Power []Power
	// Telemetry is telemetry.parquet.
	Telemetry []Telemetry
	// Counters is counters.parquet.
	Counters []Counter
	// Requests is requests.parquet.
	Requests []Request
	// Steps is steps.parquet.
	Steps []Step
}

// Power is a row of power.parquet.
type Power struct {
	// MonoNS is the stamp in nanoseconds of CLOCK_MONOTONIC.
	MonoNS int64 `parquet:"mono_ns"`
	// UnixNS is the stamp in nanoseconds of the wall clock.
	UnixNS int64 `parquet:"unix_ns"`
	// Device is the ID of the metered device.
	Device string `parquet:"device,dict"`
	// Source names the call behind the value.
	Source string `parquet:"source,dict"`
	// PowerW is the power in watts.
	PowerW float64 `parquet:"power_w"`
	// WindowMS is the time over which the sensor averaged, in milliseconds.
	WindowMS float64 `parquet:"window_ms"`
	// SinceNS, for a polled value, is the start of the last poll that returned the old value: the sensor
	// updated between it and mono_ns. Otherwise 0.
	SinceNS int64 `parquet:"since_ns"`
}

// Telemetry is a row of telemetry.parquet; values that a device does not report are null.
type Telemetry struct {
	// MonoNS is the instant in nanoseconds of CLOCK_MONOTONIC.
	MonoNS int64 `parquet:"mono_ns"`
	// Device is the ID of the metered device.
	Device string `parquet:"device,dict"`
	// TemperatureC is in degrees Celsius.
	TemperatureC *float64 `parquet:"temperature_c,optional"`
	// SMClockMHz is the clock of the streaming multiprocessors.
	SMClockMHz *float64 `parquet:"sm_clock_mhz,optional"`
	// MemClockMHz is the clock of the memory.
	MemClockMHz *float64 `parquet:"mem_clock_mhz,optional"`
	// UtilizationPct is the percentage of time during which a kernel ran.
	UtilizationPct *float64 `parquet:"utilization_pct,optional"`
	// MemoryUsedBytes is the memory in use, by all processes.
	MemoryUsedBytes *int64 `parquet:"memory_used_bytes,optional"`
	// Throttle is the bit mask of NVML's clocks event reasons.
	Throttle *int64 `parquet:"throttle,optional"`
}

// Counter is a row of counters.parquet: one reading of an energy counter, with the stamps around the call.
// Only differences of energy_uj are meaningful.
type Counter struct {
	// SinceNS, for a snapped reading, is the start of the last call that returned the old value; the counter
	// updated between it and after_ns.
	SinceNS int64 `parquet:"since_ns"`
	// BeforeNS is the beginning of the call, in nanoseconds of CLOCK_MONOTONIC.
	BeforeNS int64 `parquet:"before_ns"`
	// AfterNS is its end.
	AfterNS int64 `parquet:"after_ns"`
	// Device is the ID of the metered device.
	Device string `parquet:"device,dict"`
	// Source names the counter.
	Source string `parquet:"source,dict"`
	// EnergyUJ is the counter in microjoules.
	EnergyUJ int64 `parquet:"energy_uj"`
	// RefreshNS is the counter's update period, 0 if it was not measured.
	RefreshNS int64 `parquet:"refresh_ns"`
	// Snapped reports whether the call was the first to return a new value.
	Snapped bool `parquet:"snapped"`
}

// Request is a row of requests.parquet.
type Request struct {
	// ID counts the requests, from 0.
	ID int64 `parquet:"id"`
	// Task is the source of the prompt; it may be empty.
	Task string `parquet:"task,dict"`
	// ArrivedNS is when the request could have been served, in nanoseconds of
	// CLOCK_MONOTONIC; null in files of earlier versions.
	ArrivedNS *int64 `parquet:"arrived_ns,optional"`
	// SubmittedNS is when the request was submitted to the engine, in nanoseconds of CLOCK_MONOTONIC.
	SubmittedNS int64 `parquet:"submitted_ns"`
	// StartedNS is when the engine began to work on the request; null if unknown, and in files of earlier
	// versions.
	StartedNS *int64 `parquet:"started_ns,optional"`
	// PrefillStartNS is when its first prompt token was processed.
	PrefillStartNS int64 `parquet:"prefill_start_ns"`
	// FirstTokenNS is when its first output token was available.
	FirstTokenNS int64 `parquet:"first_token_ns"`
	// EndNS is when its last output token was available.
	EndNS int64 `parquet:"end_ns"`
	// TokenNS has a stamp for each output token.
	TokenNS []int64 `parquet:"token_ns,list"`
	// PromptTokens is the number of prompt tokens given to the engine.
	PromptTokens int64 `parquet:"prompt_tokens"`
	// PromptComputed is the number of prompt tokens that it processed.
	PromptComputed int64 `parquet:"prompt_computed"`
	// OutputTokens is the number of generated tokens.
	OutputTokens int64 `parquet:"output_tokens"`
	// FinishReason is length for a forced output.
	FinishReason string `parquet:"finish_reason,dict"`
	// OK reports whether the request was completed.
	OK bool `parquet:"ok"`
	// Failure is why it failed; empty if it did not.
	Failure string `parquet:"failure,dict"`
	// PrefillJ is the request's share of the prefill energy, in joules; null without a phase split.
	PrefillJ *float64 `parquet:"prefill_j,optional"`
	// DecodeJ is its share of the decode energy, in joules.
	DecodeJ *float64 `parquet:"decode_j,optional"`
	// FirstUse reports whether the request includes the first use of a shape and is excluded from the
	// latencies.
	FirstUse bool `parquet:"first_use"`
	// Point counts the loads of a search, from 0, in their order; the last one is the run's own. Null without a
	// load.
	Point *int64 `parquet:"point,optional"`
	// WrittenNS is when the client had written the request, in nanoseconds of CLOCK_MONOTONIC; null without a client,
	// as FirstByteNS and DoneNS.
	WrittenNS *int64 `parquet:"written_ns,optional"`
	// FirstByteNS is when the first byte of the answer arrived.
	FirstByteNS *int64 `parquet:"first_byte_ns,optional"`
	// DoneNS is when the answer was complete.
	DoneNS *int64 `parquet:"done_ns,optional"`
	// Capped reports that the request was due but waited for a limit of the requests in flight.
	Capped bool `parquet:"capped"`
	// Cut reports that the request had no end when the run was stopped.
	Cut bool `parquet:"cut"`
}

// Own returns the requests of the run's own load, without the requests of earlier loads of a search.
func Own(rows []Request) []Request {
	own := int64(0)
	for _, q := range rows {
		if q.Point != nil {
			own = max(own, *q.Point)
		}
	}
	if own == 0 {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(q Request) bool { return q.Point == nil || *q.Point != own })
}

// Step is a row of steps.parquet.
type Step struct {
	// StartNS is the beginning, in nanoseconds of CLOCK_MONOTONIC.
	StartNS int64 `parquet:"start_ns"`
	// EndNS is the end.
	EndNS int64 `parquet:"end_ns"`
	// PrefillTokens is the number of prompt tokens that the step processed.
	PrefillTokens int64 `parquet:"prefill_tokens"`
	// DecodeTokens is the number of tokens that it decoded.
	DecodeTokens int64 `parquet:"decode_tokens"`
	// Sequences is the number of sequences of the step.
	Sequences int64 `parquet:"sequences"`
	// ContextTokens is the total length of their KV caches after the step.
	ContextTokens int64 `parquet:"context_tokens"`
}

// Write writes rows as one Parquet file.
func Write[T any](w io.Writer, rows []T) error {
	pw := parquet.NewGenericWriter[T](w,
		parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("llem", "1", ""))
	for len(rows) > 0 {
		n := min(len(rows), 1<<16)
		if _, err := pw.Write(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return pw.Close()
}

// ReadFile reads a whole Parquet file of this package's row types.
func ReadFile[T any](path string) (rows []T, err error) {
	f, err := disk.Open(path, disk.Unbounded)
	if err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read series %s: %w", path, err)
	}
	defer func() {
		if r := recover(); r != nil { // the library panics on some damaged files
			err = fmt.Errorf("read series %s: damaged file: %v", path, r)
		}
	}()
	rows, err = readRows[T](f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("read series %s: %w", path, err)
	}
	return rows, nil
}

// readRows reads a file in blocks of rows, because the number of rows that it claims cannot be trusted.
func readRows[T any](f io.ReaderAt, size int64) ([]T, error) {
	if err := footed(f, size); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	if err := ours(file.Metadata()); err != nil {
		return nil, err
	}
	reader := parquet.NewGenericReader[T](file)
	defer func() { _ = reader.Close() }() // opened for reading only
	var rows []T
	for {
		part := make([]T, min(1<<12, 1+max(0, file.NumRows()-int64(len(rows)))))
		n, err := reader.Read(part)
		rows = append(rows, part[:n]...)
		switch {
		case errors.Is(err, io.EOF) && int64(len(rows)) != file.NumRows():
			return nil, fmt.Errorf("damaged file: it has %d rows instead of %d", len(rows), file.NumRows())
		case errors.Is(err, io.EOF):
			return rows, nil
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.ErrNoProgress
		}
	}
}

// footed rejects a file whose last bytes give its footer more bytes than the file has, because the library
// allocates them before it checks.
func footed(f io.ReaderAt, size int64) error {
	var end [8]byte
	if size < int64(len(end)) {
		return errors.New("damaged file: it is too short")
	}
	if _, err := f.ReadAt(end[:], size-int64(len(end))); err != nil {
		return err
	}
	if n := int64(binary.LittleEndian.Uint32(end[:])); n > size-int64(len(end)) {
		return fmt.Errorf("damaged file: its footer has %d bytes, and the file %d", n, size)
	}
	return nil
}

// ours rejects a file with another compression than [Write] uses. The library's LZ4 decoder takes ever more
// memory on damaged data, and one flipped bit turns Zstandard into LZ4.
func ours(meta *format.FileMetaData) error {
	for _, group := range meta.RowGroups {
		for _, column := range group.Columns {
			if codec := column.MetaData.Codec; codec != format.Zstd {
				return fmt.Errorf("damaged file: column %s is compressed as %v",
					strings.Join(column.MetaData.PathInSchema, "."),
					codec)
			}
		}
	}
	return nil
}

// Read reads the series files of a run's folder that its record names; others stay empty.
func Read(dir string, files map[string]string) (All, error) {
	var s All
	err := errors.Join(
		readFile(&s.Power, dir, files["power"]),
		readFile(&s.Telemetry, dir, files["telemetry"]),
		readFile(&s.Counters, dir, files["counters"]),
		readFile(&s.Requests, dir, files["requests"]),
		readFile(&s.Steps, dir, files["steps"]),
	)
	return s, err
}

func readFile[T any](rows *[]T, dir, file string) (err error) {
	if file != "" {
		*rows, err = ReadFile[T](filepath.Join(dir, file))
	}
	return err
}
