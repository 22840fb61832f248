package main

// The EFI system partition, which is mounted for the time of a change only, and the variables that
// say where it is.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf16"
)

const (
	firmwareVariables = "/sys/firmware/efi/efivars"
	loaderVendor      = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	// On devtmpfs, which is there before and after the change of the root.
	espPlace = "/dev/.esp"
)

var errNoFirmware = errors.New("the machine was not started by UEFI")

// espModules are what the variables and the ESP need; in a small initrd they are loaded from memory.
var espModules = []string{"efivarfs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}

func loadEspModules(modules *moduleIndex) {
	if !exists(filepath.Dir(firmwareVariables)) || modules == nil {
		return
	}
	for _, name := range espModules {
		_ = modules.load(name, "")
	}
}

// readLoaderState reads what the boot loader has said.
func readLoaderState(modules *moduleIndex) (loaderState, error) {
	if !exists(filepath.Dir(firmwareVariables)) {
		return loaderState{}, errNoFirmware
	}
	loadEspModules(modules)
	if !mounted(firmwareVariables) {
		if err := syscall.Mount("efivarfs", firmwareVariables, "efivarfs", nosuid|nodev|noexec, ""); err != nil {
			return loaderState{}, fmt.Errorf("the variables of the firmware cannot be read: %w", err)
		}
	}
	var loader loaderState
	for name, value := range map[string]*string{
		"LoaderBootCountPath": &loader.countPath, "LoaderEntrySelected": &loader.selected,
		"LoaderDevicePartUUID": &loader.partition,
	} {
		content, err := os.ReadFile(filepath.Join(firmwareVariables, name+loaderVendor))
		if err != nil {
			continue
		}
		if *value, err = parseVariable(content); err != nil {
			return loaderState{}, fmt.Errorf("the variable %s: %w", name, err)
		}
	}
	if loader.partition == "" {
		return loader, fmt.Errorf("the boot loader does not say which partition is the ESP")
	}
	return loader, nil
}

// parseVariable returns the text in a variable: four bytes of attributes, then UTF-16.
func parseVariable(content []byte) (string, error) {
	if len(content) < 4 || len(content)%2 != 0 {
		return "", fmt.Errorf("it has %d bytes", len(content))
	}
	var units []uint16
	for i := 4; i < len(content); i += 2 {
		unit := uint16(content[i]) | uint16(content[i+1])<<8
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return string(utf16.Decode(units)), nil
}

// withESP mounts the ESP, does something in the directory of the entries, and unmounts it.
func withESP(loader loaderState, work func(directory string) error) error {
	devices := partitionsOf(loader.partition)
	if len(devices) == 0 {
		return fmt.Errorf("there is no partition %s, where the boot loader was", strings.ToLower(loader.partition))
	}
	if err := os.MkdirAll(espPlace, 0o700); err != nil {
		return err
	}
	defer os.Remove(espPlace)
	var failure error
	for _, data := range []string{"codepage=437,iocharset=ascii", "codepage=437,iocharset=iso8859-1", ""} {
		failure = syscall.Mount("/dev/"+devices[0], espPlace, "vfat", nosuid|nodev|noexec, data)
		if failure == nil {
			break
		}
	}
	if failure != nil {
		return fmt.Errorf("mounting the ESP /dev/%s: %w", devices[0], failure)
	}
	// Not seen by containers.
	_ = syscall.Mount("", espPlace, "", syscall.MS_PRIVATE, "")
	err := work(filepath.Join(espPlace, loader.directory()))
	if failure := syscall.Unmount(espPlace, 0); failure != nil && err == nil {
		err = fmt.Errorf("unmounting the ESP: %w", failure)
	}
	return err
}

// syncFilesystem waits until a filesystem is on the disk.
func syncFilesystem(file *os.File) error {
	if _, _, code := syscall.Syscall(sysSyncfs, file.Fd(), 0, 0); code != 0 {
		return code
	}
	return nil
}
