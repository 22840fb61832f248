package main

// Update sets on web servers.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const mostRedirects = 5

type web struct {
	base   *url.URL
	client *http.Client
	stall  time.Duration
}

// newWeb takes the URL of a directory or of its index.
func newWeb(where *url.URL, s settings) (source, error) {
	if where.Host == "" {
		return nil, refuse("%s has no host", where)
	}
	base := *where
	base.Path = strings.TrimSuffix(base.Path, indexName)
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	base.RawPath = ""
	return &web{&base, newClient(s), s.stall}, nil
}

// newClient makes a client that stays with the scheme it began with.
func newClient(s settings) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: s.stall}).DialContext,
			TLSHandshakeTimeout:   s.stall,
			ResponseHeaderTimeout: s.stall,
			DisableCompression:    true,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if next.URL.Scheme != before[0].URL.Scheme {
				return refuse("the server redirects from %s to %s", before[0].URL.Scheme, next.URL.Scheme)
			}
			if len(before) > mostRedirects {
				return refuse("the server redirects more than %d times", mostRedirects)
			}
			return nil
		},
	}
}

func (w *web) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	where := *w.base
	where.Path += name
	return openURL(ctx, w.client, where.String(), offset, w.stall, nil)
}

func (w *web) close() { w.client.CloseIdleConnections() }

// openURL fetches from an offset on; servers that know no ranges send what is skipped.
func openURL(ctx context.Context, client *http.Client, where string, offset int64, stall time.Duration, header http.Header) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		cancel()
		return nil, permanent{err}
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", "dolmen-update")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := client.Do(request)
	if err != nil {
		cancel()
		return nil, err
	}
	body := &patient{answer.Body, cancel, stall, time.AfterFunc(stall, cancel)}
	skip := int64(0)
	switch {
	case answer.StatusCode == http.StatusPartialContent && offset > 0:
		if !strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
			err = fmt.Errorf("%s: the server sent the range %q", where, answer.Header.Get("Content-Range"))
		}
	case answer.StatusCode == http.StatusOK:
		skip = offset
	default:
		err = statusError{where, answer.StatusCode, answer.Header}
		if code := answer.StatusCode; code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout {
			err = permanent{err}
		}
	}
	if err == nil && skip > 0 {
		_, err = io.CopyN(io.Discard, body, skip)
	}
	if err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

type statusError struct {
	where  string
	code   int
	header http.Header
}

func (e statusError) Error() string { return fmt.Sprintf("%s: status %d", e.where, e.code) }

// patient ends a connection on which nothing comes for a while.
type patient struct {
	io.ReadCloser
	cancel context.CancelFunc
	limit  time.Duration
	timer  *time.Timer
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.timer.Reset(p.limit)
	return n, err
}

func (p *patient) Close() error {
	p.timer.Stop()
	err := p.ReadCloser.Close()
	p.cancel()
	return err
}
