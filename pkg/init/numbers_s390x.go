package main

import "encoding/binary"

// Numbers of system calls that the package syscall does not know.
const (
	sysFinitModule = 344
	sysPidfdOpen   = 434
	sysSyncfs      = 338
	sysSetns       = 339
)

// The order of bytes in what the kernel says and reads.
var order = binary.BigEndian
