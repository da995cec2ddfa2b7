package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// spending is the processor time of a process and its descendants at an instant, in seconds.
type spending struct {
	at  int64
	cpu float64
}

// watch samples the processor time of the descendants of a process, without the stub, until stop is closed.
func watch(pid int, stop <-chan struct{}) []spending {
	var list []spending
	known := map[int]float64{} // of processes that have ended, too
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		sum := 0.0
		maps.Copy(known, tree(pid))
		for _, t := range known {
			sum += t
		}
		list = append(list, spending{clock.Mono(), sum})
		select {
		case <-stop:
			return list
		case <-tick.C:
		}
	}
}

// hertz is the kernel's USER_HZ.
const hertz = 100

// tree returns the processor time of a process and its descendants.
func tree(root int) map[int]float64 {
	type process struct {
		parent int
		cpu    float64
		stub   bool
	}
	all := map[int]process{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		name, rest, ok := bytes.Cut(text, []byte(") "))
		f := strings.Fields(string(rest))
		if !ok || len(f) < 13 {
			continue
		}
		parent, _ := strconv.Atoi(f[1])
		user, _ := strconv.ParseFloat(f[11], 64)
		system, _ := strconv.ParseFloat(f[12], 64)
		all[pid] = process{parent, (user + system) / hertz, pid != root && bytes.HasSuffix(name, []byte("(vllm"))}
	}
	out := map[int]float64{}
	for pid, p := range all {
		for at, n := pid, 0; n < 64; n++ {
			if all[at].stub {
				break
			}
			if at == root {
				out[pid] = p.cpu
				break
			}
			if at = all[at].parent; at <= 1 {
				break
			}
		}
	}
	return out
}

// between returns the processor time between two instants.
func between(list []spending, from, to int64) float64 { return at(list, to) - at(list, from) }

// at interpolates.
func at(list []spending, t int64) float64 {
	for i, s := range list {
		if s.at < t {
			continue
		}
		if i == 0 {
			return s.cpu
		}
		before := list[i-1]
		return before.cpu + (s.cpu-before.cpu)*float64(t-before.at)/float64(s.at-before.at)
	}
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].cpu
}
