package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestRequestsGoNowhereElse(t *testing.T) {
	cloud, base := serve(t, []cloudRoute{{Method: "GET", Path: "/elsewhere", Answer: "x"}})
	server := httptest.NewServer(http.RedirectHandler(base+"/elsewhere", http.StatusFound))
	t.Cleanup(server.Close)
	if body, err := newService(server.URL).get(context.Background(), "/x"); err == nil || len(cloud.seen) > 0 {
		t.Errorf("%q, %v, %v", body, err, cloud.seen)
	}
}

func TestARequestIsRepeatedUntilTheTimeIsOver(t *testing.T) {
	hangs := make(chan struct{})
	var count atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) < 3 {
			<-hangs
		}
	}))
	t.Cleanup(func() { close(hangs); server.Close() })
	one := newService(server.URL)
	one.limit = 100 * time.Millisecond
	if _, err := one.get(context.Background(), "/"); err != nil || count.Load() != 3 {
		t.Errorf("%v after %d requests", err, count.Load())
	}
	count.Store(0)
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	if _, err := one.get(ctx, "/"); err == nil {
		t.Error("an answer after the limit")
	}
	count.Store(3)
	closed := newService("http://127.0.0.1:1", server.URL)
	if _, err := closed.get(context.Background(), "/"); err != nil {
		t.Errorf("the second address is not tried: %v", err)
	}
}
