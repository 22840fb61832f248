#include "textflag.h"

// func callBackdoor(r *backdoorRegisters)
TEXT ·callBackdoor(SB), NOSPLIT, $0-8
	MOVQ r+0(FP), R8
	MOVL 0(R8), AX
	MOVL 4(R8), BX
	MOVL 8(R8), CX
	MOVL 12(R8), DX
	MOVL 16(R8), SI
	MOVL 20(R8), DI
	INL
	MOVL AX, 0(R8)
	MOVL BX, 4(R8)
	MOVL CX, 8(R8)
	MOVL DX, 12(R8)
	MOVL SI, 16(R8)
	MOVL DI, 20(R8)
	RET

// func hypervisorName() (first, second, third uint32)
TEXT ·hypervisorName(SB), NOSPLIT, $0-12
	MOVL $0, first+0(FP)
	MOVL $0, second+4(FP)
	MOVL $0, third+8(FP)
	MOVL $1, AX
	MOVL $0, CX
	CPUID
	// Bit 31: there is a hypervisor.
	TESTL CX, CX
	JGE  none
	MOVL $0x40000000, AX
	MOVL $0, CX
	CPUID
	MOVL BX, first+0(FP)
	MOVL CX, second+4(FP)
	MOVL DX, third+8(FP)
none:
	RET
