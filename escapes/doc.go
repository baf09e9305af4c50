// Package escapes holds the ways out of a boundary that are known, as programs
// that try them, and the referee who stands outside and says which got out.
//
// An [Attempt] is native code that wants out: it makes system calls by their
// numbers, races its own memory, and takes what it was left. It runs in a
// process of its own (see [Main]), inside a boundary or, to show that it is an
// attempt at all, without one. What it says of itself counts for nothing: the
// [Referee] has the listeners that no rule allows, the sockets, the processes
// and the files of the world outside, and notes what reaches them.
//
// `boundary doctor --attack` runs the attempts against a referee on loopback;
// the integration tests run the same ones against network namespaces that they
// make, where the referee also sees every packet that leaves.
//
// The package knows nothing of the boundary. Its attempts touch only what the
// referee made; loops are bounded in time, and end by themselves.
package escapes
