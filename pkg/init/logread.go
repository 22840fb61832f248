package main

// The command `logread`: the output that is kept in memory, on the standard output.

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func logreadMain(arguments []string) int {
	flags := flag.NewFlagSet("logread", flag.ContinueOnError)
	follow := flags.Bool("f", false, "only what comes from now on")
	both := flags.Bool("F", false, "what there is, and what comes from now on")
	socket := flags.String("socket", memlogUsualSocket, "where to ask")
	if flags.Parse(arguments) != nil || flags.NArg() > 0 {
		return 2
	}
	mode := byte(wantDump)
	switch {
	case *both:
		mode = wantDumpAndFollow
	case *follow:
		mode = wantFollow
	}
	if err := copyMemlog(os.Stdout, *socket, mode); err != nil {
		fmt.Fprintf(os.Stderr, "logread: %v\n", err)
		fmt.Fprintln(os.Stderr, "  output is kept in memory if pkg/memlogd is in the list `init`; else it is in /var/log")
		return 1
	}
	return 0
}

func copyMemlog(to io.Writer, socket string, mode byte) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte{mode}); err != nil {
		return err
	}
	decoder := json.NewDecoder(connection)
	for {
		var line memlogLine
		if err := decoder.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		source := strings.ReplaceAll(line.Source, ";", `\;`)
		if _, err := fmt.Fprintf(to, "%s;%s;%s\n", line.Time.Format(time.RFC3339Nano), source, line.Text); err != nil {
			return err
		}
	}
}
