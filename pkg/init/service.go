package main

// The command `service`: what people call in a running system.

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"
)

const serviceHelp = `usage: service COMMAND [NAME]

  list                 what runs, since when, how often it was started
  start|stop NAME      let a service run, or end it
  restart NAME         stop it and start it
  logs NAME            what it has printed; of onboot: onboot.000-NAME. Of all, if memlogd is there
  exec NAME COMMAND…   run a command in its container
  health               whether the system is healthy, and its entry of the boot loader blessed
  poweroff|reboot      end the system in order
`

func serviceMain(arguments []string) int {
	if len(arguments) > 0 && (arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h") {
		fmt.Print(serviceHelp)
		return 0
	}
	status, err := callWith(arguments, 0, 1, 2)
	if err != nil {
		fmt.Fprintf(os.Stderr, "service: init does not answer: %v\n", err)
		fmt.Fprintln(os.Stderr, "  in a container, bind /run and run as root")
		return 1
	}
	return status
}

// callWith asks init for something, and hands over three files for it.
func callWith(arguments []string, files ...int) (int, error) {
	connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: controlPath, Net: "unix"})
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	data, err := json.Marshal(arguments)
	if err != nil {
		return 0, err
	}
	if _, _, err := connection.WriteMsgUnix(data, syscall.UnixRights(files...), nil); err != nil {
		return 0, err
	}
	status := 0
	err = json.NewDecoder(connection).Decode(&status)
	return status, err
}
