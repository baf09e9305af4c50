package seccomp

import (
	"encoding/binary"
	"fmt"
	"runtime"
)

// What a filter answers (<linux/seccomp.h>).
const (
	actKillProcess = 0x80000000
	actErrno       = 0x00050000
	actNotify      = 0x7fc00000
	actAllow       = 0x7fff0000
)

// Values of seccomp_data's arch (<linux/audit.h>).
const (
	archAMD64 = 0xc000003e
	archARM64 = 0xc00000b7
	archI386  = 0x40000003
	archARM   = 0x40000028
	archRISCV = 0xc00000f3
)

// nativeArch is that of the machine on which the test runs.
func nativeArch() uint32 {
	if runtime.GOARCH == "arm64" {
		return archARM64
	}
	return archAMD64
}

// The operations of classic BPF that a seccomp program of libseccomp's is made
// of (<linux/bpf_common.h>).
const (
	bpfLoadAbs = 0x20 // BPF_LD|BPF_W|BPF_ABS
	bpfJump    = 0x05 // BPF_JMP|BPF_JA
	bpfJumpEq  = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	bpfJumpGt  = 0x25
	bpfJumpGe  = 0x35
	bpfJumpSet = 0x45
	bpfAnd     = 0x54 // BPF_ALU|BPF_AND|BPF_K
	bpfReturn  = 0x06 // BPF_RET|BPF_K
)

// run interprets the program as the kernel does: struct seccomp_data is what
// it can load from, jumps are relative and forward.
func (p Program) run(d Data) (uint32, error) {
	data := make([]byte, 64) // sizeof(struct seccomp_data)
	binary.NativeEndian.PutUint32(data, uint32(d.Nr))
	binary.NativeEndian.PutUint32(data[4:], d.Arch)
	binary.NativeEndian.PutUint64(data[8:], d.IP)
	for i, arg := range d.Args {
		binary.NativeEndian.PutUint64(data[16+8*i:], arg)
	}
	var a uint32
	for pc := 0; pc >= 0 && (pc+1)*sockFilterSize <= len(p); pc++ {
		ins := p[pc*sockFilterSize:]
		code, k := binary.NativeEndian.Uint16(ins), binary.NativeEndian.Uint32(ins[4:])
		ifTrue, ifFalse := int(ins[2]), int(ins[3])
		branch := func(taken bool) {
			if taken {
				pc += ifTrue
			} else {
				pc += ifFalse
			}
		}
		switch code {
		case bpfLoadAbs:
			if k%4 != 0 || int(k) > len(data)-4 {
				return 0, fmt.Errorf("instruction %d loads from %d", pc, k)
			}
			a = binary.NativeEndian.Uint32(data[k:])
		case bpfJump:
			pc += int(k)
		case bpfJumpEq:
			branch(a == k)
		case bpfJumpGt:
			branch(a > k)
		case bpfJumpGe:
			branch(a >= k)
		case bpfJumpSet:
			branch(a&k != 0)
		case bpfAnd:
			a &= k
		case bpfReturn:
			return k, nil
		default:
			return 0, fmt.Errorf("instruction %d has the operation %#x", pc, code)
		}
	}
	return 0, fmt.Errorf("the program has no end")
}
