// Package policies is the policy language of boundary: what a policy file
// means, whether it is well formed, and what it decides.
//
// The way from text to decision has three steps, each in a file of its own:
// decode.go evaluates HCL into plain values that remember where they were
// written, validate.go checks those values and gives every mistake its
// diagnostic, and compile.go turns what is left into an index of rules. A
// [Policy] is made only where there was no error at all.
//
// Decisions are a pure function of the policy and the [Request]: nothing is
// read from the clock, the file system, the environment or the network. So the
// proxy, the supervisor and the commands that explain a policy cannot differ.
//
// # Trust
//
// Policy files are the operator's word. Requests are the agent's, and hostile:
// every field of a Request may hold any bytes. Whatever can't be judged is
// denied. Values of the environment are secrets until proved otherwise, and so
// never appear in a diagnostic.
//
// # Concurrency
//
// A Policy never changes after it was made, so all its methods may be called
// from any number of goroutines. Nothing in this package starts one.
package policies
