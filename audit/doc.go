// Package audit owns the record of a session: what a record holds, how it becomes a line, how lines are chained and
// kept in a file, and what a person at the terminal sees of them.
//
// # Lines
//
// A log is JSON Lines: one record is one JSON object on one line, ended by a newline. [Log.Append] hands a whole line
// to the kernel in one write(2) before it returns, so a record outlives the process that wrote it. A caller answers the
// agent only after that, and denies where Append returned an error.
//
// # Text
//
// A line is valid UTF-8 and holds no control character. In a string, `"` and `\` are escaped as JSON demands; control
// characters (C0, DEL and C1), line and paragraph separators, and the characters that reorder or hide text on a
// terminal are written as \uXXXX and decode to themselves. A byte that is not part of valid UTF-8, as in a file name of
// Linux, is written as the four characters \xNN (so `\\xNN` in the line): this is for people to read, and is not told
// apart from a name that holds these four characters. A text that is too long is cut, and ends in "…[+N bytes]", or a
// list in "…[+N more]". Command lines and query names are recorded with what looks like a credential masked, see
// [MaskArgv].
//
// # Chain
//
// The last two members of each object are "prev" and "hash", each 64 lower-case hexadecimal digits. The hash is the
// SHA-256 (FIPS 180-4) of the line's bytes, without the newline, after the text
//
//	,"hash":"0123…cdef"
//
// is cut out of its end, that is of everything up to and with the prev member, and a closing brace. The prev of a
// record is the hash of the record before it in the same session; for the first record, whose seq is 0, it is 64 zeros.
// So a verifier cuts the last 75 bytes of a line, puts back `}`, hashes, and compares: it need not know any other
// member, and members may be added without a new rule. [Verify] does this.
//
// A chain shows that nothing in it was changed, removed, added or moved. By itself it does not show that its end is
// still there, nor withstand someone who computes all of it anew; the last hash, kept elsewhere, shows both.
//
// Several sessions may append to one file, one after the other or at once. Each has its own chain.
//
// # A log that can't be written
//
// Where a write fails or stops short, Append returns an error, and neither seq nor the chain advances. What a short
// write left is cut off again; where that is not possible, the next record starts on a new line and says in torn_bytes
// how many bytes of unfinished lines stand before it. The next Append tries anew, and once writing works it first
// records, as event "error" with the member "lost", how many records there are none of.
//
// # Goroutines
//
// A [Log] and a [Terminal] may be used by any number of goroutines at once. A Terminal owns one goroutine, which ends
// with [Terminal.Close]; a Log owns none.
package audit
