// Command demo tells in under a second what boundary is for: an agent reads a
// pull request in which a stranger hid an instruction, follows it, and sends
// the secrets that it can read to the stranger's server.
//
//	demo [-boundary FILE] [-color auto|always|never]
//
// Both servers are one that the demo starts on loopback; the agent is a shell
// script with curl, and nothing in it knows of boundary. The demo ends with
// status 1 where the story did not hold.
package main
