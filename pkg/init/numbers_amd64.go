package main

// Numbers of system calls that the package syscall does not know.
const (
	sysFinitModule = 313
	sysPidfdOpen   = 434
	sysSetns       = 308
)
