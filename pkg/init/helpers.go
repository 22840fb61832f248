package main

// What containerd and its OCI runtime call for a container: whoever takes its output, and what is
// due between its creation and its start.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// containerLogMain hands a container's output to init. Containerd gives it as files 3 and 4, and
// waits until file 5 is closed.
func containerLogMain() int {
	name := os.Getenv("CONTAINER_ID")
	status, err := callWith([]string{"take-output", name}, 3, 4, 5)
	if err != nil {
		fmt.Fprintf(os.Stderr, "the output of %s cannot be handed to init: %v\n", name, err)
		return 1
	}
	return status
}

// takeOutput goes on with a container's output until nobody writes any more.
func (s *system) takeOutput(c call, one *service) int {
	for _, file := range c.files[:2] {
		// The caller's files are closed when the call is over.
		own, err := syscall.Dup(int(file.Fd()))
		if err != nil {
			return 1
		}
		syscall.CloseOnExec(own)
		_ = syscall.SetNonblock(own, true)
		output := os.NewFile(uintptr(own), "output")
		go func() {
			defer output.Close()
			one.log.drain(output)
		}()
	}
	return 0
}

// containerHookMain connects a container that was created to the rest of the system; it is told of
// it in the OCI runtime's way.
func containerHookMain(arguments []string) int {
	err := func() error {
		if len(arguments) != 1 {
			return fmt.Errorf("it wants a bundle")
		}
		var state struct {
			Pid int `json:"pid"`
		}
		if err := json.NewDecoder(os.Stdin).Decode(&state); err != nil {
			return err
		}
		spec, err := bundle{directory: filepath.Clean(arguments[0])}.runtimeSpec()
		if err != nil {
			return err
		}
		return spec.connect(state.Pid)
	}()
	if err != nil {
		// Runtimes say of a hook only that it failed; so the reason is left where init looks.
		if len(arguments) == 1 {
			_ = os.WriteFile(hookFailure(arguments[0]), []byte(err.Error()), 0o600)
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// hookFailure is where the hook leaves the reason if it fails.
func hookFailure(directory string) string {
	return filepath.Join("/run/containers", filepath.Base(directory)+".failure")
}
