package main

import "encoding/binary"

// Numbers of system calls that the package syscall does not know.
const (
	sysFinitModule = 313
	sysPidfdOpen   = 434
	sysSyncfs      = 306
	sysSetns       = 308
)

// The order of bytes in what the kernel says and reads.
var order = binary.LittleEndian
