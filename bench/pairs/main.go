// Command pairs evaluates `llem compare` on pairs of studies of the simulated GPU for which the truth is
// known: how many equal pairs are called different, and how many pairs that are 5 % apart are detected.
//
//	go run ./bench/pairs                        # executes the runs: 3,000, half an hour
//	go run ./bench/pairs -cycles 50             # fewer runs
//	go run ./bench/pairs -study results/NAME    # an existing study of bench/pairs/study.yaml
//	go run ./bench/pairs -csv bench/pairs/testdata/runs.csv.gz
//
// The runs are real runs of the program: the engine is a process that waits, the sensors are read from the
// fake library, and the numbers scatter with the machine's influence on both. Pairs of 5 cycles share no
// runs. If pairs are drawn from the runs, or the energy of a side is scaled, the table says so. With -write,
// the numbers of the runs are written to a file for -csv and for the test.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

//go:embed study.yaml
var studyText []byte

func main() {
	llem.WorkerMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pairs:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context) error {
	cycles := flag.Int("cycles", 1000, "cycles of the study to run")
	dir := flag.String("study", "", "the folder of an existing study")
	table := flag.String("csv", "", "an existing file of runs")
	write := flag.String("write", "", "write the numbers of the runs to this file")
	flag.Parse()
	var r recording
	var err error
	switch {
	case *table != "":
		r, err = readRuns(*table)
	case *dir != "":
		r, err = readStudy(*dir)
	default:
		r, err = makeStudy(ctx, *cycles)
	}
	if err != nil {
		return err
	}
	if *write != "" {
		if err := r.write(*write); err != nil {
			return err
		}
	}
	return r.table(os.Stdout)
}

// makeStudy runs the study in a temporary folder.
func makeStudy(ctx context.Context, cycles int) (r recording, err error) {
	dir, err := os.MkdirTemp("", "pairs")
	if err != nil {
		return r, fmt.Errorf("make a folder for the study: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "study.yaml")
	if err := os.WriteFile(path, studyText, 0o644); err != nil {
		return r, err
	}
	s, err := llem.LoadFile(path, study.Setting{Key: "execution.cycles", Value: strconv.Itoa(cycles)})
	if err != nil {
		return r, err
	}
	made, err := llem.Run(ctx, s, llem.Options{Results: filepath.Join(dir, "results")})
	if err != nil {
		return r, err
	}
	return readStudy(made.Dir)
}

// readStudy reads the numbers from the folder of a study.
func readStudy(dir string) (r recording, err error) {
	s, err := llem.Open(dir)
	if err != nil {
		return r, err
	}
	if len(s.Experiments) != len(r) {
		return r, fmt.Errorf("%s has %d experiments, not the %d of bench/pairs/study.yaml", dir, len(s.Experiments),
			len(r))
	}
	place := map[string]int{}
	for i, e := range s.Experiments {
		place[e.ID] = i
	}
	byCycle := map[int]*[len(r)]run{}
	for record, err := range s.Records() {
		if err != nil {
			return r, err
		}
		if record.Status != result.OK {
			continue
		}
		var one run
		if one.at = record.Window.Start.UnixNano(); byCycle[record.Cycle] == nil {
			byCycle[record.Cycle] = new([len(r)]run)
		}
		for i, name := range kept {
			m, err := result.Metric(name)
			if err != nil {
				return r, err
			}
			one.values[i], _ = m.Value(record)
		}
		byCycle[record.Cycle][place[record.ID]] = one
	}
	for _, cycle := range slices.Sorted(maps.Keys(byCycle)) {
		all := byCycle[cycle]
		if slices.ContainsFunc(all[:], func(one run) bool { return one.at == 0 }) {
			continue // it failed or was not executed
		}
		for i, one := range all {
			r[i] = append(r[i], one)
		}
	}
	return r, nil
}
