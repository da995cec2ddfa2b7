package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
)

// write writes a line for each run, compressed.
func (r recording) write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := gzip.NewWriter(f)
	fmt.Fprintln(z, "configuration,milliseconds,"+fmt.Sprint(kept))
	for cycle := range r[plain] {
		for i := range r {
			one := r[i][cycle]
			fmt.Fprintf(z, "%d,%d", i, (one.at-r[plain][0].at)/1e6)
			for _, v := range one.values {
				fmt.Fprintf(z, ",%.6g", v)
			}
			fmt.Fprintln(z)
		}
	}
	return z.Close()
}

// readRuns reads a file that write wrote.
func readRuns(path string) (r recording, err error) {
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	lines := bufio.NewScanner(z)
	lines.Scan() // skip the header
	for lines.Scan() {
		var place int
		var one run
		v := &one.values
		if _, err := fmt.Sscanf(lines.Text(), "%d,%d,%g,%g,%g,%g,%g", &place, &one.at, &v[0], &v[1], &v[2], &v[3],
			&v[4]); err != nil || place < 0 || place >= len(r) {
			return r, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		one.at *= 1e6
		r[place] = append(r[place], one)
	}
	return r, lines.Err()
}
