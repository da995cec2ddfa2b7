package measure

import (
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// TestOverriddenSetting: what the engine used is recorded, and another value than the one asked for is a warning
// that flags the run.
func TestOverriddenSetting(t *testing.T) { t.Run("virtual", virtually(testOverriddenSetting)) }

func testOverriddenSetting(t *testing.T) {
	l := newLab(t)
	l.loaded.Settings = map[string]string{"prefill_chunk": "64", "batch_size": "1", "blocks": "7"}
	r := l.measure(t, result.OK)
	b := r.Backend
	if overridden := []string{"embedded.prefill_chunk"}; b.Effective[overridden[0]] != "64" ||
		!slices.Equal(b.Overridden, overridden) || len(b.Settings) != 1 || b.Settings["blocks"] != "7" {
		t.Errorf("effective %v, overridden %q, settings %v", b.Effective, b.Overridden, b.Settings)
	}
	i := slices.IndexFunc(r.Warnings, func(n note.Note) bool { return n.Code == codes.SettingOverridden })
	if i < 0 || r.Warnings[i].Message != "embedded.prefill_chunk: requested 512, used 64" {
		t.Errorf("warnings %v", r.Warnings)
	}
	if !slices.Contains(codes.FlagsOf([]note.Code{codes.SettingOverridden}), codes.SettingOverridden) {
		t.Error("it does not flag the run")
	}
}
