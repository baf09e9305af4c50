package supervisor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"boundary/seccomp"
)

// Stage is the first argument by which the program knows that it is the
// launcher: the process that becomes the agent. It is not a command for users.
// A stage chosen by an environment variable would leak into the agent.
const Stage = "boundary-launch"

// stageFD is the launcher's end of the socket to the supervisor.
const stageFD = 3

// plan is what the launcher is told, once. It reads nothing else.
type plan struct {
	Path     string
	Argv     []string
	Env      []string
	Programs seccomp.Programs
	Landlock seccomp.Landlock
	DropCaps bool
}

// Messages on the stage socket, one byte each where no more is said.
const (
	stageListener = 'L' // launcher: the listener comes along (SCM_RIGHTS); its argument says whether WAIT_KILLABLE_RECV is on
	stageGo       = 'G' // supervisor: everything is ready, exec
	stageFailed   = 'F' // launcher: a stageError follows
)

// stageError is why the agent was not started.
type stageError struct {
	Op    string
	Errno int
}

// maxMessage bounds a message on the stage socket; argv and environment of
// one exec fit (the kernel's own limit for them is a quarter of the stack's).
const maxMessage = 64 << 20

func writeMessage(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := w.Write(append(out, body...)); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

func readMessage(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("read message: %d bytes are too many", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode message: %w", err)
	}
	return nil
}
