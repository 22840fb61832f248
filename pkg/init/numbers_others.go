//go:build arm64 || riscv64

package main

import "encoding/binary"

// Numbers of system calls that the package syscall does not know.
const (
	sysFinitModule = 273
	sysPidfdOpen   = 434
	sysSyncfs      = 267
	sysSetns       = 268
)

// The order of bytes in what the kernel says and reads.
var order = binary.LittleEndian
