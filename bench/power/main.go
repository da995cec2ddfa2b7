// Command power compares the sensors of a machine with each other: it samples them while a load runs and
// compares every energy counter with the integral of the power series between two readings at which the
// counter had just changed.
//
//	go run ./bench/power -seconds 30
//	go run ./bench/power -seconds 30 -- python3 bench/power/load.py 0.030 0.030
//
// The load is started first and killed at the end. The output is one JSON object.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
	"github.com/llenergymeasure/llem/power/sensors"
)

// agreement is the comparison of one device.
type agreement struct {
	Device        string  `json:"device"`
	Source        string  `json:"source"`
	Seconds       float64 `json:"seconds"`
	Snapped       bool    `json:"snapped"`
	CounterJ      float64 `json:"counter_j"`
	SeriesJ       float64 `json:"series_j"`
	DifferencePct float64 `json:"difference_pct"`
	EdgeMS        float64 `json:"edge_ms"` // width of the interval that contains the counter's update
	Samples       int     `json:"samples"`
	MinW          float64 `json:"min_w"`
	MaxW          float64 `json:"max_w"`
}

type output struct {
	Load       []string            `json:"load,omitempty"`
	Agreement  []agreement         `json:"agreement"`
	Gaps       []power.Gap         `json:"gaps"`
	Errors     []string            `json:"errors"`
	Missing    []power.Unavailable `json:"missing"`
	Facts      []sensor.GPUFacts   `json:"facts,omitempty"`
	CostPct    float64             `json:"cost_pct_of_core"`
	Polls      int                 `json:"polls"`
	FirstState *power.Telemetry    `json:"telemetry,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "power:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("power", flag.ContinueOnError)
	seconds := flags.Float64("seconds", 30, "time between the two readings")
	warm := flags.Float64("warm", 3, "time between the start of the load and the first reading")
	dump := flags.String("samples", "", "write the power series to this CSV file")
	facts := flags.Bool("facts", false, "print what the driver reports about the GPUs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if load := flags.Args(); len(load) > 0 {
		ended, err := start(ctx, load)
		if err != nil {
			return err
		}
		defer ended()
	}
	meters, missing := sensors.Open(ctx, sensors.Options{})
	out := output{Load: flags.Args(), Missing: missing}
	for _, m := range meters {
		defer func() {
			if err := m.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "power: close:", err)
			}
		}()
		if n, ok := m.(interface{ Facts() []sensor.GPUFacts }); ok && *facts {
			out.Facts = n.Facts()
		}
	}
	sampler := power.NewSampler(meters...)
	sampler.Start(ctx)
	wait(ctx, *warm)
	first := sampler.Mark(ctx, time.Second)
	wait(ctx, *seconds)
	second := sampler.Mark(ctx, time.Second)
	wait(ctx, 0.5) // the last samples of the window have not arrived yet
	trace := sampler.Stop(ctx)
	out.Gaps, out.Errors = trace.Gaps, trace.Errors
	out.CostPct, out.Polls = 100*trace.Cost.Share(), trace.Cost.Polls
	if len(trace.Telemetry) > 0 {
		out.FirstState = &trace.Telemetry[len(trace.Telemetry)/2]
	}
	out.Agreement = compare(trace, first, second)
	if *dump != "" {
		if err := write(*dump, trace.Samples); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// write writes the series to a file for inspection.
func write(path string, samples []power.Sample) error {
	var text bytes.Buffer
	fmt.Fprintln(&text, "mono_ns,device,source,power_w,window_ms")
	for _, s := range samples {
		fmt.Fprintf(&text, "%d,%s,%s,%g,%g\n", s.MonoNS, s.Device, s.Source, float64(s.Power), float64(s.Window)/1e6)
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

func compare(trace power.Trace, first, second []power.Reading) []agreement {
	var list []agreement
	for _, a := range first {
		for _, b := range second {
			if a.Device != b.Device {
				continue
			}
			g := agreement{Device: a.Device, Source: a.Source, Snapped: a.Snapped && b.Snapped,
				Seconds:  time.Duration(b.At() - a.At()).Seconds(),
				CounterJ: (b.Energy - a.Energy).Joules(),
				SeriesJ:  powertest.Integral(trace.Samples, a.Device, a.At(), b.At()),
				EdgeMS:   float64(max(a.AfterNS-a.SinceNS, b.AfterNS-b.SinceNS)) / 1e6}
			g.DifferencePct = 100 * (g.SeriesJ/g.CounterJ - 1)
			for _, s := range trace.Samples {
				if s.Device != a.Device || s.MonoNS < a.At() || s.MonoNS > b.At() {
					continue
				}
				w := float64(s.Power)
				if g.Samples == 0 {
					g.MinW = w
				}
				g.MinW, g.MaxW = min(g.MinW, w), max(g.MaxW, w)
				g.Samples++
			}
			list = append(list, g)
		}
	}
	return list
}

// start runs the load and waits for its first line of output, which reports that it is running.
func start(ctx context.Context, load []string) (end func(), err error) {
	cmd := exec.CommandContext(ctx, load[0], load[1:]...)
	cmd.Stderr = os.Stderr
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the load %q: %w", load, err)
	}
	if _, err := ready.Read(make([]byte, 64)); err != nil {
		return nil, fmt.Errorf("the load %q ended before it reported that it was ready: %w", load, err)
	}
	return func() {
		// It is killed, so its exit status has no meaning.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}, nil
}

func wait(ctx context.Context, seconds float64) {
	select {
	case <-time.After(time.Duration(seconds * 1e9)):
	case <-ctx.Done():
	}
}
