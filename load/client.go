package load

// Client is how exact the client of server engines was on this machine: an audit before the first run of a session,
// against a server that knows when it wrote. Errors are the client's stamps minus the server's.
type Client struct {
	// Streams is the number of concurrent streams of the audit, and Rate the number of requests per second of its open
	// loop.
	Streams int     `json:"streams"`
	Rate    float64 `json:"rate"` // see Streams
	// SendLagP50US, SendLagP99US and SendLagMaxUS are how late requests of the open loop were sent, in microseconds.
	SendLagP50US float64 `json:"send_lag_p50_us"`
	SendLagP99US float64 `json:"send_lag_p99_us"` // see SendLagP50US
	SendLagMaxUS float64 `json:"send_lag_max_us"` // see SendLagP50US
	// TTFTErrorUS is the mean error of times to first token in microseconds, TTFTErrorP99US the 99th percentile of its
	// absolute value.
	TTFTErrorUS    float64 `json:"ttft_error_us"`
	TTFTErrorP99US float64 `json:"ttft_error_p99_us"` // see TTFTErrorUS
	// ITLErrorP50US and ITLErrorP99US are percentiles of the absolute error of a time between two tokens, in
	// microseconds.
	ITLErrorP50US float64 `json:"itl_error_p50_us"`
	ITLErrorP99US float64 `json:"itl_error_p99_us"` // see ITLErrorP50US
	// UnknownPct is the share of times between tokens that the server itself did not know well enough, in percent.
	UnknownPct float64 `json:"unknown_pct"`
	// CPUSPerMillion is the processor time of the client per million tokens, in seconds.
	CPUSPerMillion float64 `json:"cpu_s_per_million"`
}
