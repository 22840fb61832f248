// Sockets and ports of the system, for its host: by vsock, or by a virtio-serial port.
//
//	vsudd -inport PORT:unix:PATH -inport PORT:tcp:HOST:PORT …
//	vsudd -dial CID:PORT
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// A rule connects a port that the host sees to an address in the system.
type rule struct {
	port    uint32
	network string
	address string
}

func (r rule) String() string { return fmt.Sprintf("%d:%s:%s", r.port, r.network, r.address) }

func (r rule) dial() (stream, error) {
	connection, err := net.Dial(r.network, r.address)
	if err != nil {
		return nil, err
	}
	return connection.(stream), nil
}

// rules are those of the command line, one for each -inport.
type rules []rule

func (r *rules) String() string { return "" }

// Set reads PORT:unix:PATH or PORT:tcp:HOST:PORT.
func (r *rules) Set(text string) error {
	words := strings.SplitN(text, ":", 3)
	if len(words) != 3 {
		return errors.New("PORT:unix:PATH or PORT:tcp:HOST:PORT is needed")
	}
	port, err := readPort(words[0])
	if err != nil {
		return err
	}
	made := rule{port, words[1], words[2]}
	switch made.network {
	case "unix":
		if !strings.HasPrefix(made.address, "/") {
			return fmt.Errorf("the path %q does not begin with /", made.address)
		}
	case "tcp":
		if _, _, err := net.SplitHostPort(made.address); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q is neither unix nor tcp", made.network)
	}
	for _, other := range *r {
		if other.port == port {
			return fmt.Errorf("the port %d is given twice", port)
		}
	}
	*r = append(*r, made)
	return nil
}

func readPort(text string) (uint32, error) {
	port, err := strconv.ParseUint(text, 0, 32)
	if err != nil || port == anyPort {
		return 0, fmt.Errorf("%q is not the number of a port", text)
	}
	return uint32(port), nil
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(arguments []string) int {
	var chosen rules
	flags := flag.NewFlagSet("vsudd", flag.ContinueOnError)
	flags.Var(&chosen, "inport", "`PORT:unix:PATH` or PORT:tcp:HOST:PORT; may be repeated")
	dial := flags.String("dial", "", "connect standard input and output to `CID:PORT`")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	switch {
	case flags.NArg() > 0:
		say("%s is not an option", flags.Arg(0))
		return 2
	case *dial != "":
		if err := dialAndCopy(*dial, os.Stdin, os.Stdout); err != nil {
			say("%s: %v", *dial, err)
			return 1
		}
		return 0
	case len(chosen) == 0:
		say("there is nothing to forward: -inport PORT:unix:PATH")
		return 2
	}
	ended := make(chan error)
	for _, one := range chosen {
		if err := serve(one, ended); err != nil {
			say("%v: %v", one, err)
			return 1
		}
	}
	say("%v", <-ended)
	return 1
}

// serve forwards a port in each way that the machine has.
func serve(one rule, ended chan<- error) error {
	listener, noVsock := listenVsock(one.port)
	if noVsock == nil {
		say("%v: vsock, %s", one, describeCID())
		go func() { ended <- fmt.Errorf("%v: vsock: %w", one, acceptAll(listener, one.dial)) }()
	} else if !errors.Is(noVsock, errNoVsock) {
		return noVsock
	}
	name := fmt.Sprintf("vsudd.%d", one.port)
	path, found := findPort(virtioPorts, name)
	if found {
		port, err := openPort(path)
		if err != nil {
			return err
		}
		say("%v: the virtio-serial port %s", one, name)
		go func() { ended <- fmt.Errorf("%v: %s: %w", one, name, forwardPort(port, one.dial)) }()
	}
	if noVsock != nil && !found {
		return fmt.Errorf("%w, nor a virtio-serial port %s", noVsock, name)
	}
	return nil
}

// dialAndCopy connects two streams to a port of another machine, or of this one, which is 1.
func dialAndCopy(text string, in io.Reader, out io.Writer) error {
	cid, port, _ := strings.Cut(text, ":")
	number, err := readPort(port)
	if err != nil {
		return err
	}
	machine, err := strconv.ParseUint(cid, 0, 32)
	if err != nil {
		return fmt.Errorf("%q is not the number of a machine", cid)
	}
	connection, err := dialVsock(uint32(machine), number)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, in)
		_ = connection.CloseWrite()
	}()
	_, err = io.Copy(out, connection)
	return err
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
