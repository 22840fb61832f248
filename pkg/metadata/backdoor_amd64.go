package main

import (
	"os"
	"strings"
)

// callBackdoor loads the registers, executes IN and stores them.
func callBackdoor(r *backdoorRegisters)

// hypervisorName returns the twelve letters that CPUID has of the hypervisor, if there is one.
func hypervisorName() (first, second, third uint32)

// hasBackdoor tells whether this is a machine of VMware: by the processor, and by the SMBIOS.
func hasBackdoor() bool {
	first, second, third := hypervisorName()
	// VMwareVMware.
	if first != 0x61774d56 || second != 0x4d566572 || third != 0x65726177 {
		return false
	}
	vendor, err := os.ReadFile(smbiosDirectory + "/sys_vendor")
	return err == nil && strings.HasPrefix(string(vendor), "VMware")
}
