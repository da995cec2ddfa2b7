// Package server drives inference engines that serve HTTP: it starts one as a child process, streams a workload
// through it, and stops it. The engine-specific part (command line, form of requests and events) is an [Engine];
// the rest is here, shared by all.
//
//	Start ─▶ child process ─▶ health ─▶ Session
//	Run   ─▶ one connection a stream ─▶ events with the kernel's time of arrival ─▶ backend.Log
//	         └─ counters of the engine, sampled ─▶ steps of tier T2
//
// A token's stamp is the time at which its bytes arrived at the socket, taken by the kernel, in CLOCK_MONOTONIC.
// It excludes the time that this program took to wake up: with hundreds of streams that all advance at the same
// engine step, that would dominate what a client measures.
package server
