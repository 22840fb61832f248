// Figures about the containers of a system, as Prometheus reads them, with cAdvisor's names.
//
//	cadvisor [-port PORT] [-listen_ip ADDRESS] [-cgroups DIRECTORY]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	port := flag.Int("port", 8080, "the port to listen at")
	address := flag.String("listen_ip", "", "the address to listen at; all by default")
	root := flag.String("cgroups", "/cgroup", "where the system's cgroups are")
	flag.Parse()
	server := http.Server{
		Addr:              net.JoinHostPort(*address, strconv.Itoa(*port)),
		Handler:           handler(*root),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      30 * time.Second,
	}
	fmt.Fprintf(os.Stderr, "listening at %s\n", server.Addr)
	fmt.Fprintf(os.Stderr, "cadvisor: %v\n", server.ListenAndServe())
	os.Exit(1)
}

// handler answers at /metrics, and says at /healthz that it is there.
func handler(root string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(answer, "ok")
	})
	mux.HandleFunc("/metrics", func(answer http.ResponseWriter, _ *http.Request) {
		var text bytes.Buffer
		groups, err := findGroups(root)
		if err == nil {
			err = writeMetrics(&text, groups)
		}
		if err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
		answer.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = answer.Write(text.Bytes())
	})
	return mux
}
