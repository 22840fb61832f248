package main

// Requests to the metadata services of clouds, which may not be ready when the machine is.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// For one request: a lost packet costs no more than this.
	requestLimit = 5 * time.Second
)

// Where clouds have their services.
const (
	linkLocal  = "http://169.254.169.254"
	wireServer = "http://168.63.129.16"
)

// statusError is an answer of a service that is none of the wanted ones.
type statusError struct {
	path string
	code int
}

func (e statusError) Error() string { return fmt.Sprintf("%s: status %d", e.path, e.code) }

// isMissing tells whether a service has answered that it does not have what was asked for.
func isMissing(err error) bool {
	var status statusError
	return errors.As(err, &status) && status.code == http.StatusNotFound
}

// isRefusal tells whether a service has answered, and not with what was asked for.
func isRefusal(err error) bool {
	var status statusError
	return errors.As(err, &status)
}

// service asks one metadata service.
type service struct {
	// Where it is; several are tried in turn.
	bases []string
	// What each request has.
	header map[string]string
	// The name that requests are for, if it is not the address.
	host string
	// Answers after which the request is repeated, besides those of a service that is overloaded.
	again []int
	// The longest time of a request.
	limit  time.Duration
	client *http.Client
}

func newService(bases ...string) *service {
	return &service{bases: bases, limit: requestLimit, client: newClient((&net.Dialer{}).DialContext)}
}

// newClient makes a client that goes nowhere else: without proxies and redirections.
func newClient(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// get fetches a path, again and again until there is an answer or the time is over.
func (s *service) get(ctx context.Context, path string) ([]byte, error) {
	body, _, err := s.request(ctx, http.MethodGet, path, nil, nil)
	return body, err
}

// text fetches a value that the service need not have: then it is empty.
func (s *service) text(ctx context.Context, path string) (string, error) {
	body, err := s.get(ctx, path)
	if isRefusal(err) {
		return "", nil
	}
	return strings.TrimSpace(string(body)), err
}

// optional fetches a document that the service need not have: then it is nil.
func (s *service) optional(ctx context.Context, path string) ([]byte, error) {
	body, err := s.get(ctx, path)
	if isMissing(err) {
		return nil, nil
	}
	return body, err
}

func (s *service) request(ctx context.Context, method, path string, header map[string]string, body []byte) ([]byte, http.Header, error) {
	pause := firstPause
	for attempt := 0; ; attempt++ {
		base := s.bases[attempt%len(s.bases)]
		answer, about, err := s.once(ctx, method, base+path, header, body)
		if err == nil || ctx.Err() != nil || !s.worthRepeating(err) {
			if err == nil {
				// What has answered once is asked from now on.
				s.bases = []string{base}
			}
			return answer, about, err
		}
		if verbose {
			say("%s %s%s: %v", method, base, path, err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("no answer in time; the last attempt: %w", err)
		case <-time.After(pause):
		}
		if pause *= 2; pause > longestPause {
			pause = longestPause
		}
	}
}

func (s *service) once(ctx context.Context, method, address string, header map[string]string, body []byte) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Host = s.host
	request.Header.Set("User-Agent", "dolmen-metadata")
	for _, values := range []map[string]string{s.header, header} {
		for name, value := range values {
			request.Header.Set(name, value)
		}
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, nil, shorter(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, response.Header, statusError{request.URL.Path, response.StatusCode}
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, largestFile+1))
	if err == nil && len(answer) > largestFile {
		return nil, nil, statusError{request.URL.Path + " is larger than 16 MiB", response.StatusCode}
	}
	return answer, response.Header, err
}

// shorter leaves out method and address, which the message need not repeat.
func shorter(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

func (s *service) worthRepeating(err error) bool {
	var status statusError
	if !errors.As(err, &status) {
		return !errors.Is(err, os.ErrPermission)
	}
	for _, code := range s.again {
		if status.code == code {
			return true
		}
	}
	return status.code == http.StatusTooManyRequests || status.code == http.StatusRequestTimeout || status.code >= 500
}
