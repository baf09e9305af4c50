package audit

import "time"

// Event says what a record is about.
type Event string

// The events of a session.
const (
	// SessionStart is the first record of a session; [Record.Start] tells what runs and what guards it.
	SessionStart Event = "session.start"
	// SessionEnd is the last record of a session; [Record.End] tells how the command ended.
	SessionEnd Event = "session.end"
	// ProcessExec tells of a program that was started in the session.
	ProcessExec Event = "process.exec"
	// Connect is a connection, or a datagram, that is not HTTP.
	Connect Event = "connect"
	// DNS is a question to the resolver: the host is the name, the method the type, such as "AAAA".
	DNS Event = "dns"
	// RequestEvent is an HTTP request.
	RequestEvent Event = "request"
	// Listen is a bind or listen of the agent's.
	Listen Event = "listen"
	// Refused is a system call that is never carried; [Record.Syscall] names it.
	Refused Event = "refused"
	// Overflow tells that something was more than is kept, and what was left out.
	Overflow Event = "overflow"
	// Error is a fault of boundary's own, told in [Record.Message].
	Error Event = "error"
)

// Decision is the verdict on what a record is about. It is empty where nothing was to be decided.
type Decision string

// The decisions.
const (
	// Allow let it through.
	Allow Decision = "allow"
	// Deny did not.
	Deny Decision = "deny"
	// WouldDeny let it through in monitor mode, where enforcing would have denied it.
	WouldDeny Decision = "would-deny"
)

// Record is one record. Empty members are left out of the line. The names of the members in the log are those in the
// json tags; a line decodes into a Record with encoding/json.
type Record struct {
	// Time, Session, Seq, TornBytes, Prev and Hash are set by [Log.Append]: what the caller put there is not used.
	Time    time.Time `json:"time"`
	Session string    `json:"session"`
	Seq     uint64    `json:"seq"`

	Event Event `json:"event"`
	// ID is short enough to be typed, see [NewID]: the answer to a denied request shows it. A second record with the
	// same ID tells how the request ended.
	ID       string   `json:"id,omitempty"`
	Decision Decision `json:"decision,omitempty"`
	// Rule is the name of the rule that decided, RuleAt its place as file:line, Reason one short word.
	Rule   string `json:"rule,omitempty"`
	RuleAt string `json:"rule_at,omitempty"`
	Reason string `json:"reason,omitempty"`

	// Protocol is "http" or "https" for a request, else "tcp", "udp", "tls", "unix" or "dns".
	Protocol string `json:"protocol,omitempty"`
	Method   string `json:"method,omitempty"`
	Host     string `json:"host,omitempty"`
	Port     uint16 `json:"port,omitempty"`
	// Path is the escaped path of a request as sent, without the query, or that of a Unix socket.
	Path string `json:"path,omitempty"`
	// Query holds the names in the query, never the values; see [QueryNames].
	Query []string `json:"query,omitempty"`
	// Status is what the agent was answered, and 0 where it was not yet.
	Status int `json:"status,omitempty"`
	// Upstream is the address and port that was really dialled.
	Upstream string `json:"upstream,omitempty"`

	// BytesSent and BytesReceived count the body of a request and of its answer, or both ways of a connection, as the
	// agent sees them. DurationMS is in milliseconds, and recorded to the microsecond. All three are nil until it ended.
	BytesSent     *int64   `json:"bytes_sent,omitempty"`
	BytesReceived *int64   `json:"bytes_received,omitempty"`
	DurationMS    *float64 `json:"duration_ms,omitempty"`

	// Process is who did it. It is only read, so many records may share one.
	Process *Process `json:"process,omitempty"`

	// Start, End, Syscall and Lost belong to the events that name them.
	Start   *Start   `json:"start,omitempty"`
	End     *End     `json:"end,omitempty"`
	Syscall *Syscall `json:"syscall,omitempty"`
	Lost    *Lost    `json:"lost,omitempty"`

	// Message is a text for people.
	Message string `json:"message,omitempty"`

	TornBytes uint64 `json:"torn_bytes,omitempty"`
	Prev      string `json:"prev"`
	Hash      string `json:"hash"`
}

// Process is a process of the session. Argv is masked when it is written, see [MaskArgv].
type Process struct {
	PID  int      `json:"pid"`
	PPID int      `json:"ppid"`
	Exe  string   `json:"exe,omitempty"`
	Argv []string `json:"argv,omitempty"`
	Cwd  string   `json:"cwd,omitempty"`
	UID  int      `json:"uid"`
	// StartTime tells a process from a later one of the same PID.
	StartTime time.Time `json:"start_time,omitzero"`
	// Ancestors are the processes above it, nearest first, up to the session's first.
	Ancestors []Ancestor `json:"ancestors,omitempty"`
}

// Ancestor is a process above another.
type Ancestor struct {
	PID int    `json:"pid"`
	Exe string `json:"exe"`
}

// Start describes a session at its start.
type Start struct {
	// Version is that of boundary.
	Version string `json:"version"`
	// Mode is "enforce" or "monitor".
	Mode string `json:"mode,omitempty"`
	// Kernel is the release of the running kernel, as uname(2) gives it.
	Kernel string `json:"kernel,omitempty"`
	// Guards are those that are on, Missing those that this machine does not give, by the names that `doctor` prints.
	Guards  []string `json:"guards"`
	Missing []string `json:"missing,omitempty"`
	// Policies are the policy's files, and the rules from the command line.
	Policies []string `json:"policies,omitempty"`
	// Command is what is run, masked when it is written like [Process.Argv].
	Command []string `json:"command"`
	// Standard are those of the command's standard descriptors that are sockets: the command keeps them.
	Standard []Standard `json:"standard,omitempty"`
	// PublicKey is that of the session, as the one who checks its signatures needs it.
	PublicKey string `json:"public_key,omitempty"`
}

// Standard is a socket that the command was given as one of its standard descriptors.
type Standard struct {
	FD     int    `json:"fd"`
	Family string `json:"family"`
	Type   string `json:"type"`
	// Peer is the address to which it is connected, or empty.
	Peer string `json:"peer,omitempty"`
}

// End tells how the command ended.
type End struct {
	// ExitStatus is that of `boundary exec`: 128+N where signal N ended the command.
	ExitStatus int `json:"exit_status"`
	// Signal is the name of the signal that ended it, or empty.
	Signal string `json:"signal,omitempty"`
	// Allowed, Denied and WouldDeny are the session's totals.
	Allowed   uint64 `json:"allowed"`
	Denied    uint64 `json:"denied"`
	WouldDeny uint64 `json:"would_deny,omitempty"`
}

// Syscall is a system call that was refused.
type Syscall struct {
	// Name is that of the call, as in "socket".
	Name string `json:"name"`
	// Args are the arguments as the registers held them, at most six.
	Args []uint64 `json:"args,omitempty"`
	// Errno is the name of the error that the agent was answered, as in "EAFNOSUPPORT".
	Errno string `json:"errno,omitempty"`
}

// Lost tells of records that could not be written. What they were about was denied.
type Lost struct {
	// Records is how many.
	Records uint64 `json:"records"`
	// Since is when the first of them failed.
	Since time.Time `json:"since"`
	// Cause is why the last of them failed.
	Cause string `json:"cause"`
}
