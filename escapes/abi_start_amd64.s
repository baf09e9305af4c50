#include "textflag.h"

#define SYS_clone 56

// func startAt(flags, entry, stack uintptr) uintptr
TEXT ·startAt(SB), NOSPLIT, $0-32
	MOVQ flags+0(FP), DI
	MOVQ entry+8(FP), R12
	MOVQ stack+16(FP), SI
	XORQ DX, DX
	XORQ R10, R10
	XORQ R8, R8
	MOVQ $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JNZ  parent
	JMP  R12

parent:
	MOVQ AX, ret+24(FP)
	RET
