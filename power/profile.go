package power

import "time"

// Profile is what a self-test measured about the sensors of one device. It applies to this card and driver,
// not to the product.
type Profile struct {
	// Device is the ID of the device.
	Device string `json:"device"`
	// UUID identifies a GPU; empty for other devices.
	UUID string `json:"uuid,omitempty"`
	// Name is the product name.
	Name string `json:"name"`
	// When is the time of the self-test.
	When time.Time `json:"when"`
	// Sources are the ways of reading the device's power.
	Sources []SourceProfile `json:"sources"`
	// MinWindowS is the shortest window, in seconds, for a total within ±1 %; 0 if unknown.
	MinWindowS float64 `json:"min_window_s,omitempty"`
	// SwingPct is how much the counter's response to pulses of a quarter of its period depends on their
	// phase, in percent: 0 for a counter that misses nothing; nil if unknown.
	SwingPct *float64 `json:"swing_pct,omitempty"`
}

// Source returns the profile of a source, or nil.
func (p *Profile) Source(name string) *SourceProfile {
	if p == nil {
		return nil
	}
	for i := range p.Sources {
		if p.Sources[i].Source == name {
			return &p.Sources[i]
		}
	}
	return nil
}

// SourceProfile describes one source of a device: a value with stamp t is the mean over [t − lag − window, t
// − lag] of the low-pass filtered power. The numbers were measured with a load whose edges are known, with
// standard errors; nil if that load was not run.
type SourceProfile struct {
	// Source names the call that returns the values.
	Source string `json:"source"`
	// FilterMS is the time constant of the filter in milliseconds; nil means no filter.
	FilterMS *float64 `json:"filter_ms"`
	// FilterSDMS is the standard error of FilterMS, in milliseconds.
	FilterSDMS *float64 `json:"filter_sd_ms"`
	// WindowMS is the length of the averaging window, in milliseconds.
	WindowMS *float64 `json:"window_ms"`
	// WindowSDMS is its standard error, in milliseconds.
	WindowSDMS *float64 `json:"window_sd_ms"`
	// LagMS is the delay between the end of the window and the stamp, in milliseconds.
	LagMS *float64 `json:"lag_ms"`
	// LagSDMS is its standard error, in milliseconds.
	LagSDMS *float64 `json:"lag_sd_ms"`
}
