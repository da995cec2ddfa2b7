package submit

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/cluster"
	"github.com/llenergymeasure/llem/study"
)

// TestEverySettingOfASite: each key that a user's own file may have about clusters is taken, and is in the document.
func TestEverySettingOfASite(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/submit.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := study.Machine(study.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, o := range all {
		section, name, _ := strings.Cut(o.Key, ".")
		if section != cluster.OnSlurm && section != cluster.OnKubernetes {
			continue
		}
		seen++
		s := &site{limits: map[string]time.Duration{}, programs: map[string]string{}}
		value := "true"
		if name == "time" {
			value = "1h"
		}
		if err := s.take(o.Key, value); err != nil {
			t.Errorf("%s: %v", o.Key, err)
		}
		if s.slurm == (cluster.Slurm{}) && s.kubernetes == (cluster.Kubernetes{}) &&
			len(s.limits)+len(s.programs) == 0 {
			t.Errorf("%s has no effect", o.Key)
		}
		if !strings.Contains(string(text), name) {
			t.Errorf("docs/submit.md does not have %s", o.Key)
		}
	}
	if seen < 20 {
		t.Errorf("only %d keys", seen)
	}
}
