package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/sim"
)

// TestEightRunsAtOnce: on a node of eight GPUs, eight processes measure side by side, each on its own GPU: no lock
// prevents that, only that GPU counts, and the others' work is neither in its energy nor taken for a neighbour on it.
func TestEightRunsAtOnce(t *testing.T) {
	t.Parallel()
	const gpus = 8
	all := make([]func(*sim.Sensors), gpus)
	for i := range all {
		all[i] = healthy
	}
	node := severalGPUs(t, all...)
	runs := make([]*simulation, gpus)
	for i := range runs {
		s := &simulation{program: program{results: filepath.Join(node.results, fmt.Sprint(i))}, file: node.file}
		s.cmd = s.command(t)
		s.cmd.Args = append(s.cmd.Args, "-n", fmt.Sprint(16*(i+1)))
		s.cmd.Env = append(s.cmd.Env, fmt.Sprintf("CUDA_VISIBLE_DEVICES=%d", i))
		s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		runs[i] = s
	}
	for i, s := range runs {
		o := s.measured(t, s.cmd)
		if o.Status != "ok" || o.Energy.Total == nil {
			t.Errorf("gpu%d: %s, %s; output:\n%s", i, o.Status, o.Energy.Reason, s.out.String())
			continue
		}
		for _, d := range o.Energy.Devices {
			if strings.HasPrefix(d.Device, "gpu") && d.Device != fmt.Sprintf("gpu%d", i) {
				t.Errorf("gpu%d: the result has %s, too", i, d.Device)
			}
		}
		w := o.Window
		if truth := s.file.Curve(i).Joules(w.Start, w.End); !close95(*o.Energy.Total, truth) {
			t.Errorf("gpu%d: %+v J, the truth is %.1f J", i, *o.Energy.Total, truth)
		}
		for _, q := range o.Warnings {
			if strings.Contains(q.Code, "shared") && strings.HasPrefix(q.Message, "gpu") {
				t.Errorf("gpu%d: %s: %s", i, q.Code, q.Message)
			}
		}
	}
}
