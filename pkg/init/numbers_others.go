//go:build arm64 || riscv64

package main

// Numbers of system calls that the package syscall does not know.
const (
	sysFinitModule = 273
	sysPidfdOpen   = 434
	sysSetns       = 268
)
