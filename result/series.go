package result

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// PowerRow is a row of power.parquet.
type PowerRow struct {
	MonoNS   int64   `parquet:"mono_ns"`
	UnixNS   int64   `parquet:"unix_ns"`
	Device   string  `parquet:"device,dict"`
	Source   string  `parquet:"source,dict"`
	PowerW   float64 `parquet:"power_w"`
	WindowMS float64 `parquet:"window_ms"`
	// SinceNS is, for a polled value, when the last poll that still saw another one
	// began: the sensor's update lies between it and mono_ns. 0 elsewhere.
	SinceNS int64 `parquet:"since_ns"`
}

// TelemetryRow is a row of telemetry.parquet; what a device does not report is
// null.
type TelemetryRow struct {
	MonoNS          int64    `parquet:"mono_ns"`
	Device          string   `parquet:"device,dict"`
	TemperatureC    *float64 `parquet:"temperature_c,optional"`
	SMClockMHz      *float64 `parquet:"sm_clock_mhz,optional"`
	MemClockMHz     *float64 `parquet:"mem_clock_mhz,optional"`
	UtilizationPct  *float64 `parquet:"utilization_pct,optional"`
	MemoryUsedBytes *int64   `parquet:"memory_used_bytes,optional"`
	Throttle        *int64   `parquet:"throttle,optional"`
}

// CounterRow is a row of counters.parquet: one reading of an energy counter, with
// the stamps around the call. Only differences of energy_uj mean something.
type CounterRow struct {
	// SinceNS is, for a snapped reading, when the last call that still saw the old
	// value began; the update lies between it and after_ns.
	SinceNS  int64  `parquet:"since_ns"`
	BeforeNS int64  `parquet:"before_ns"`
	AfterNS  int64  `parquet:"after_ns"`
	Device   string `parquet:"device,dict"`
	Source   string `parquet:"source,dict"`
	EnergyUJ int64  `parquet:"energy_uj"`
	// RefreshNS is the counter's update period, 0 if it was not measured.
	RefreshNS int64 `parquet:"refresh_ns"`
	Snapped   bool  `parquet:"snapped"`
}

// RequestRow is a row of requests.parquet.
type RequestRow struct {
	ID             int64   `parquet:"id"`
	Task           string  `parquet:"task,dict"`
	SubmittedNS    int64   `parquet:"submitted_ns"`
	PrefillStartNS int64   `parquet:"prefill_start_ns"`
	FirstTokenNS   int64   `parquet:"first_token_ns"`
	EndNS          int64   `parquet:"end_ns"`
	TokenNS        []int64 `parquet:"token_ns,list"`
	PromptTokens   int64   `parquet:"prompt_tokens"`
	PromptComputed int64   `parquet:"prompt_computed"`
	OutputTokens   int64   `parquet:"output_tokens"`
	FinishReason   string  `parquet:"finish_reason,dict"`
	OK             bool    `parquet:"ok"`
	Failure        string  `parquet:"failure,dict"`
	// PrefillJ and DecodeJ are the request's part of the phases' energy; null
	// without a phase split.
	PrefillJ *float64 `parquet:"prefill_j,optional"`
	DecodeJ  *float64 `parquet:"decode_j,optional"`
}

// StepRow is a row of steps.parquet.
type StepRow struct {
	StartNS       int64 `parquet:"start_ns"`
	EndNS         int64 `parquet:"end_ns"`
	PrefillTokens int64 `parquet:"prefill_tokens"`
	DecodeTokens  int64 `parquet:"decode_tokens"`
	Sequences     int64 `parquet:"sequences"`
	ContextTokens int64 `parquet:"context_tokens"`
}

// writeRows writes rows as one Parquet file.
func writeRows[T any](w io.Writer, rows []T) error {
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

// ReadRows reads a whole Parquet file of this package's row types.
func ReadRows[T any](path string) (rows []T, err error) {
	f, err := os.Open(path)
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
	rows, err = parquet.Read[T](f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("read series %s: %w", path, err)
	}
	return rows, nil
}

// ReadSeries reads the series files of a run's folder that its record names; what it
// does not name is empty.
func ReadSeries(dir string, files map[string]string) (Series, error) {
	var s Series
	err := errors.Join(
		readSeries(&s.Power, dir, files["power"]),
		readSeries(&s.Telemetry, dir, files["telemetry"]),
		readSeries(&s.Counters, dir, files["counters"]),
		readSeries(&s.Requests, dir, files["requests"]),
		readSeries(&s.Steps, dir, files["steps"]),
	)
	return s, err
}

func readSeries[T any](rows *[]T, dir, file string) (err error) {
	if file != "" {
		*rows, err = ReadRows[T](filepath.Join(dir, file))
	}
	return err
}
