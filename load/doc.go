// Package load decides when requests arrive at an engine and whether it served them well enough. It reads no clock and
// no file, and equal arguments give equal lists.
//
// A [Process] describes arrivals; [Times] returns them as offsets from the start of the load:
//
//	constant   every 1/rate seconds, the first at 0
//	poisson    exponential gaps with mean 1/rate
//	gamma      gaps with mean 1/rate and coefficient of variation cv: shape 1/cv², scale cv²/rate
//	ramp       Poisson, with a rate that changes in a straight line over time
//	rates      Poisson, with a list of rates that each hold for some time
//
// A [Client] states how exact the client that sends them was.
//
// Processes are raw: the number of requests in a fixed time, or the time of a fixed number, varies as it does in
// reality. [Process.Normalise] scales them to the exact mean rate, as vLLM's benchmark does; this takes the variance of
// the count away, which changes queues if there are fewer than about 500 requests.
//
// The shape of gamma is what other programs call burstiness (vLLM) or smoothness (AIPerf), see [Burstiness].
package load
