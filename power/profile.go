package power

import "time"

// Profile is what a self-test learned about the sensors of one device. It holds
// for the card and its driver, not for the product.
type Profile struct {
	Device  string          `json:"device"`
	UUID    string          `json:"uuid,omitempty"`
	Name    string          `json:"name"`
	Driver  string          `json:"driver,omitempty"`
	When    time.Time       `json:"when"`
	Sources []SourceProfile `json:"sources"`
	// MinWindowS is the window from which a total is known within ±1 %; 0 unknown.
	MinWindowS float64 `json:"min_window_s,omitempty"`
	// Quick says that no load was run, so that windows and lags are not known.
	Quick bool `json:"quick"`
	// EdgeBlurMS is the median width of the interval in which a snapped reading of
	// the counter is known to lie; null without a counter.
	EdgeBlurMS *float64 `json:"edge_blur_ms"`
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
// is the mean power over [t − lag − window, t − lag].
type SourceProfile struct {
	Source string `json:"source"`
	// RefreshMS is the median time between two updates.
	RefreshMS float64 `json:"refresh_ms"`
	// FilterMS is the time constant of a low-pass filter before the window, with
	// its standard error; nil is none.
	FilterMS   *float64 `json:"filter_ms"`
	FilterSDMS *float64 `json:"filter_sd_ms"`
	// WindowMS, LagMS and their standard errors come from a load whose edges are
	// known; null when no load could be run.
	WindowMS   *float64 `json:"window_ms"`
	WindowSDMS *float64 `json:"window_sd_ms"`
	LagMS      *float64 `json:"lag_ms"`
	LagSDMS    *float64 `json:"lag_sd_ms"`
	// CallUS is the median duration of one call, CallMaxUS the longest seen.
	CallUS    float64 `json:"call_us"`
	CallMaxUS float64 `json:"call_max_us"`
	// ResidualW is the standard deviation of what window and lag do not explain.
	ResidualW *float64 `json:"residual_w"`
	// PartTime says that the source sees the power during a part of the time only,
	// so that a load in step with it is misread; null when that was not found out.
	PartTime *bool `json:"part_time"`
}
