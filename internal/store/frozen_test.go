package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

// freeze writes the study of a new folder.
func freeze(t *testing.T, experiments string) (dir string, s *study.Study, text []byte) {
	t.Helper()
	s, err := study.Parse("s.yaml", []byte("model: random:tiny-llama\n"+experiments))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Create(t.TempDir(), "frozen", time.Unix(1.8e9, 0))
	if err == nil {
		err = errors.Join(d.WriteStudy(s), d.Close())
	}
	if err == nil {
		text, err = os.ReadFile(filepath.Join(d.Path(), StudyFile))
	}
	if err != nil {
		t.Fatal(err)
	}
	return d.Path(), s, text
}

func rewrite(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFrozenIsWhole: a study that was cut anywhere, or changed anywhere, is refused, in both forms of its list. What
// was written is read, and is a study file still.
func TestFrozenIsWhole(t *testing.T) {
	for form, experiments := range map[string]string{"blocks": "sweep: {seed: 1..4}",
		"lines": "sweep: {seed: 1..1001}"} {
		dir, s, text := freeze(t, experiments)
		path := filepath.Join(dir, StudyFile)
		got, checked, err := ReadFrozen(dir)
		if err != nil || !checked || len(got.Experiments) != len(s.Experiments) ||
			len(naming.Differences(s, got, study.Experiment.Measured)) > 0 {
			t.Fatalf("%s: %v, checked %v", form, err, checked)
		}
		if again, err := study.Load(study.Options{Path: path}); err != nil ||
			len(naming.Differences(again, s, study.Experiment.Measured)) > 0 {
			t.Errorf("%s: it cannot be run again: %v", form, err)
		}
		at := map[int]bool{}
		for i := range 200 {
			at[i*len(text)/200] = true
		}
		for i := range text {
			if (form == "blocks" || len(at) < 400) && text[i] == '\n' {
				at[i], at[i+1] = true, true
			}
		}
		delete(at, len(text))
		refused := func(what string, text []byte) {
			rewrite(t, path, text)
			got, checked, err := ReadFrozen(dir)
			if err == nil {
				t.Errorf("%s, %s: %d experiments, checked %v, want it refused", form, what, len(got.Experiments),
					checked)
			}
			if damage, ok := errors.AsType[*DamageError](err); ok && damage.NextStep() == "" {
				t.Errorf("%s, %s: %v has no next step", form, what, err)
			}
		}
		for i := range at {
			refused(fmt.Sprintf("cut at byte %d of %d", i, len(text)), text[:i])
		}
		for i := range at {
			changed := bytes.Clone(text)
			changed[i] ^= 1
			refused(fmt.Sprintf("byte %d changed", i), changed)
		}
		refused("a line more", append(bytes.Clone(text), "# more\n"...))
	}
}

// TestFrozenCount: a sum that is right does not help a text with another number of experiments.
func TestFrozenCount(t *testing.T) {
	dir, _, text := freeze(t, "sweep: {seed: 1..4}")
	rewrite(t, filepath.Join(dir, StudyFile), bytes.Replace(text, []byte("# 4 exp"), []byte("# 5 exp"), 1))
	if _, _, err := ReadFrozen(dir); err == nil ||
		!strings.Contains(err.Error(), "has 4 experiments but was written with 5") {
		t.Errorf("%v", err)
	}
}

// TestFrozenOfAnEarlierVersion: one without a sum is read, and it is known that nothing checked it.
func TestFrozenOfAnEarlierVersion(t *testing.T) {
	dir, _, text := freeze(t, "sweep: {seed: 1..4}")
	rewrite(t, filepath.Join(dir, StudyFile), text[bytes.IndexByte(text, '\n')+1:])
	s, checked, err := ReadFrozen(dir)
	if err != nil || checked || len(s.Experiments) != 4 {
		t.Errorf("%v, checked %v", err, checked)
	}
}
