// Package agentapi imitates the model APIs that coding agents talk to, as far
// as one turn of an agent needs them: the agent sends its prompt, is told to
// run a command with its shell tool, sends what the command wrote, and gets
// that back as the answer. Each imitation streams server-sent events in the
// order in which the real API does.
//
// A handler keeps nothing between two requests, and may serve several at the
// same time.
package agentapi
