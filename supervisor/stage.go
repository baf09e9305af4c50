package supervisor

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"boundary/seccomp"
	"boundary/tlsproxy"
)

// Stage is the first argument by which the program knows that it is the
// launcher. It is not a command for users. A stage chosen by an environment
// variable would leak into the agent.
const Stage = "boundary-launch"

// stageFD is the launcher's end of the socket to the supervisor.
const stageFD = 3

// plan is what the launcher is told, once. It reads nothing else.
type plan struct {
	Path     rawString
	Argv     []rawString
	Env      []rawString
	Programs seccomp.Programs
	Landlock seccomp.Landlock
	DropCaps bool
	// CloseFiles asks for closeKernelFiles.
	CloseFiles bool
	// Trust is the folder of the session's certificates: the launcher removes
	// it, as the supervisor may be killed before it can.
	Trust rawString
	// Cover is done where CloseFiles has made a mount namespace; nil asks for
	// nothing.
	Cover *tlsproxy.Covering
	// Installed is what is to be taken out of the system's store after the
	// session; nil where nothing was put there.
	Installed *tlsproxy.Installed
}

// rawString is a string of any bytes but NUL, as execve(2) takes it. JSON alone
// would mend what is not UTF-8.
type rawString string

// MarshalText implements [encoding.TextMarshaler].
func (r rawString) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(r)), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *rawString) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	*r = rawString(raw)
	return err
}

// convert turns strings of one kind into another.
func convert[To, From ~string](list []From) []To {
	out := make([]To, len(list))
	for i, s := range list {
		out[i] = To(s)
	}
	return out
}

// kind is what a message on the stage socket says.
type kind byte

// A message is its kind and then a number of four bytes; a plan is sent as
// its length and JSON.
const (
	stageListener kind = 'L' // launcher: the listener comes along (SCM_RIGHTS); the number tells what is on
	stageGo       kind = 'G' // supervisor: everything is ready, start the agent
	stageStarted  kind = 'P' // launcher: the agent runs; the number is its process id
	stageStopped  kind = 'S' // launcher: the agent's first process has stopped itself
	stageEnded    kind = 'X' // launcher: it has ended; the number is its wait status
	stageFailed   kind = 'F' // launcher: the agent was not started; the number is an errno, and the step's name follows
)

// What the number of stageListener tells, as bits.
const (
	listenerKillable    = 1 << iota // WAIT_KILLABLE_RECV is on
	listenerFilesClosed             // closeKernelFiles has worked
	listenerCovered                 // the system's certificates are covered
)

type message struct {
	kind   kind
	number uint32
	text   string // of stageFailed
}

const messageSize = 5

// encode writes the message with its text, if any, behind its length.
func (m message) encode() []byte {
	b := binary.LittleEndian.AppendUint32([]byte{byte(m.kind)}, m.number)
	if m.kind == stageFailed {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(m.text)))
		b = append(b, m.text...)
	}
	return b
}

// readMessage reads what encode wrote. It is io.EOF where the other side is gone.
func readMessage(r io.Reader) (message, error) {
	var head [messageSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	m := message{kind: kind(head[0]), number: binary.LittleEndian.Uint32(head[1:])}
	if m.kind != stageFailed {
		return m, nil
	}
	text, err := readBlock(r)
	m.text = string(text)
	return m, err
}

// maxBlock bounds a block; argv and environment of one exec fit (the kernel's
// own limit for them is a quarter of the stack's).
const maxBlock = 64 << 20

func readBlock(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxBlock {
		return nil, fmt.Errorf("a block of %d bytes is too long", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

func writePlan(w io.Writer, p *plan) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := w.Write(append(out, body...)); err != nil {
		return fmt.Errorf("send plan: %w", err)
	}
	return nil
}

func readPlan(r io.Reader) (*plan, error) {
	body, err := readBlock(r)
	if err != nil {
		return nil, fmt.Errorf("receive plan: %w", err)
	}
	var p plan
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	return &p, nil
}
