package supervisor

import "golang.org/x/sys/unix"

// stackPointer of a thread that stands still.
func (t tracee) stackPointer() (uint64, error) {
	var regs unix.PtraceRegs
	err := unix.PtraceGetRegs(int(t), &regs)
	return regs.Rsp, err
}

func (t tracee) setStackPointer(sp uint64) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(int(t), &regs); err != nil {
		return err
	}
	regs.Rsp = sp
	return unix.PtraceSetRegs(int(t), &regs)
}
