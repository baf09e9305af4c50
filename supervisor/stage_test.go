package supervisor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"boundary/seccomp"
)

func TestMessages(t *testing.T) {
	messages := []message{
		{kind: stageListener, number: 1}, {kind: stageGo}, {kind: stageStarted, number: 1<<32 - 1},
		{kind: stageFailed, number: 13, text: "exec"}, {kind: stageFailed}, {kind: stageEnded, number: 9},
	}
	var stream bytes.Buffer
	for _, m := range messages {
		stream.Write(m.encode())
	}
	whole := stream.Bytes()
	r := bytes.NewReader(whole)
	for _, want := range messages {
		got, err := readMessage(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{})); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if _, err := readMessage(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	failed := message{kind: stageFailed, number: 1, text: "step"}.encode()
	for n := 1; n < len(failed); n++ {
		if _, err := readMessage(bytes.NewReader(failed[:n])); err == nil {
			t.Errorf("a message cut to %d bytes was read", n)
		}
	}
}

func TestReadBlockBounds(t *testing.T) {
	for _, size := range []uint32{maxBlock + 1, 1<<32 - 1} {
		if _, err := readBlock(bytes.NewReader(binary.LittleEndian.AppendUint32(nil, size))); err == nil {
			t.Errorf("a block of %d bytes was read", size)
		}
	}
	if _, err := readBlock(bytes.NewReader([]byte{5, 0, 0, 0, 1})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a block that ends early: %v", err)
	}
}

func TestPlanCutShort(t *testing.T) {
	p := &plan{Path: "/bin/true", Programs: seccomp.Programs{Refuse: seccomp.Program{6}}}
	var b bytes.Buffer
	if err := writePlan(&b, p); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 3, 4, b.Len() - 1} {
		if _, err := readPlan(bytes.NewReader(b.Bytes()[:cut])); err == nil {
			t.Errorf("a plan cut to %d bytes was read", cut)
		}
	}
	if err := writePlan(brokenWriter{}, p); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to nobody: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
