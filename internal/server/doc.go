// Package server drives inference engines that serve HTTP: it starts one as a child
// process, streams a workload through it, and stops it. What is particular to an
// engine (its command line, the form of requests and events) is an [Engine]; the rest
// is here, the same for all.
//
//	Start ─▶ child process ─▶ health ─▶ Session
//	Run   ─▶ one connection a stream ─▶ events with the kernel's time of arrival ─▶ backend.Log
//	         └─ counters of the engine, sampled ─▶ steps of tier T2
//
// A token's stamp is the time at which its bytes arrived at the socket, as the kernel
// took it, in CLOCK_MONOTONIC. The time that this program took to wake up is not in
// it: with hundreds of streams that all move at the same engine step, that would be
// most of what a client measures.
package server
