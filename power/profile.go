package power

import "time"

// Profile is what a self-test learned about the sensors of one device. It holds
// for the card and its driver, not for the product.
type Profile struct {
	// Device is the ID of the device.
	Device string `json:"device"`
	// UUID is that of a GPU; empty elsewhere.
	UUID string `json:"uuid,omitempty"`
	// Name is the product name.
	Name string `json:"name"`
	// When is the time of the self-test.
	When time.Time `json:"when"`
	// Sources are the ways of reading the device's power.
	Sources []SourceProfile `json:"sources"`
	// MinWindowS is the window from which a total is known within ±1 %; 0 unknown.
	MinWindowS float64 `json:"min_window_s,omitempty"`
	// SwingPct is how far what the counter adds for pulses of a quarter of its period
	// swings with their phase: 0 is a counter that sees everything; nil unknown.
	SwingPct *float64 `json:"swing_pct,omitempty"`
}

// Source finds the profile of one source, or nil.
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

// SourceProfile is how one source of a device behaves: a value that is stamped t
// is the mean over [t − lag − window, t − lag] of what a low-pass filter shows of the
// power. The numbers come from a load whose edges are known, with their standard
// errors; null when that load was not run.
type SourceProfile struct {
	// Source names the call.
	Source string `json:"source"`
	// FilterMS is the time constant of the filter; nil is none.
	FilterMS *float64 `json:"filter_ms"`
	// FilterSDMS is the standard error of FilterMS, in milliseconds.
	FilterSDMS *float64 `json:"filter_sd_ms"`
	// WindowMS is the averaging window, in milliseconds.
	WindowMS *float64 `json:"window_ms"`
	// WindowSDMS is its standard error, in milliseconds.
	WindowSDMS *float64 `json:"window_sd_ms"`
	// LagMS is how much later than the end of the window the stamp is, in milliseconds.
	LagMS *float64 `json:"lag_ms"`
	// LagSDMS is its standard error, in milliseconds.
	LagSDMS *float64 `json:"lag_sd_ms"`
}
