// Writes all output, as memlogd hands it over, into a file for each source, and rotates the files.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	// Everything there is, then everything that comes.
	dumpAndFollow = 2
	// Memlogd is there before any service; this is for one that is started anew.
	longestWait = 10 * time.Second
	// What others say while the system ends.
	lastWords = 500 * time.Millisecond
)

// line is what was printed, and by whom.
type line struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Text   string    `json:"msg"`
}

func main() {
	socket := flag.String("socket", "/run/log/memlogdq.sock", "where memlogd is")
	directory := flag.String("log-dir", "/var/log", "where files go")
	count := flag.Int("max-log-files", 10, "how many older files are kept of each")
	size := flag.Int64("max-log-size", 1<<20, "how large a file gets, in bytes")
	flag.Parse()
	if flag.NArg() > 0 || *count < 0 || *size < 1 {
		flag.Usage()
		os.Exit(2)
	}
	connection, err := connect(*socket)
	if err == nil {
		ends := make(chan os.Signal, 1)
		signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
		go func() {
			<-ends
			time.Sleep(lastWords)
			os.Exit(0)
		}()
		err = copyLines(connection, newFiles(*directory, *count, *size))
	}
	// The first process hands over: its end is not seen here.
	fmt.Fprintf(os.Stderr, "memlogd at %s: %v\n", *socket, err)
	os.Exit(1)
}

func connect(socket string) (net.Conn, error) {
	for end := time.Now().Add(longestWait); ; time.Sleep(100 * time.Millisecond) {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			_, err = connection.Write([]byte{dumpAndFollow})
			return connection, err
		}
		if time.Now().After(end) {
			return nil, err
		}
	}
}

// copyLines writes what comes until nothing comes any more, which is always an error.
func copyLines(from io.Reader, to *files) error {
	decoder := json.NewDecoder(from)
	// Told once, since what is told may come back as a line.
	failing := map[string]bool{}
	for {
		var next line
		if err := decoder.Decode(&next); err != nil {
			return err
		}
		// Nor is what this says itself written.
		if strings.HasPrefix(next.Source, "logwrite") {
			continue
		}
		err := to.write(next)
		if err != nil && !failing[next.Source] {
			fmt.Fprintln(os.Stderr, err)
		}
		failing[next.Source] = err != nil
	}
}
