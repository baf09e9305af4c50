#include "textflag.h"

#define SYS_clone 56
#define SYS_exit 60
#define stepSize 64

// A step is eight words: the number of a system call, its six arguments, and
// whether the caller goes no further where the call returns other than zero.
//
// func runChild(flags, steps, count uintptr) uintptr
TEXT ·runChild(SB), NOSPLIT, $0-32
	MOVQ flags+0(FP), DI
	MOVQ steps+8(FP), R12
	MOVQ count+16(FP), R13
	XORQ SI, SI
	XORQ DX, DX
	XORQ R10, R10
	XORQ R8, R8
	MOVQ $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JNZ  parent

next:
	TESTQ R13, R13
	JZ   leave
	MOVQ 0(R12), AX
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	MOVQ 40(R12), R8
	MOVQ 48(R12), R9
	MOVQ 56(R12), BX
	ADDQ $stepSize, R12
	DECQ R13
	SYSCALL
	TESTQ BX, BX
	JZ   next
	TESTQ AX, AX
	JZ   next

leave:
	XORQ DI, DI
	MOVQ $SYS_exit, AX
	SYSCALL

parent:
	MOVQ AX, ret+24(FP)
	RET
