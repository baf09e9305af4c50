package supervisor

import "golang.org/x/sys/unix"

// ntPrstatus is NT_PRSTATUS, <linux/elf.h>: the general registers.
const ntPrstatus = 1

// stackPointer of a thread that stands still.
func (t tracee) stackPointer() (uint64, error) {
	var regs unix.PtraceRegsArm64
	err := unix.PtraceGetRegSetArm64(int(t), ntPrstatus, &regs)
	return regs.Sp, err
}

func (t tracee) setStackPointer(sp uint64) error {
	var regs unix.PtraceRegsArm64
	if err := unix.PtraceGetRegSetArm64(int(t), ntPrstatus, &regs); err != nil {
		return err
	}
	regs.Sp = sp
	return unix.PtraceSetRegSetArm64(int(t), ntPrstatus, &regs)
}
