package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fakeProvider answers after some time, or never, heeding no limits.
type fakeProvider struct {
	called string
	after  time.Duration
	found  *metadata
	err    error
}

func (p fakeProvider) name() string { return p.called }

func (p fakeProvider) ask(context.Context) (*metadata, error) {
	time.Sleep(p.after)
	return p.found, p.err
}

func TestTheOrderIsKeptAndTheSlowAreNotWaitedFor(t *testing.T) {
	const slow, never = 100 * time.Millisecond, time.Hour
	one, two := &metadata{userdata: []byte("1")}, &metadata{userdata: []byte("2")}
	broken := errors.New("broken")
	absent := notThere(errors.New("refused"))
	usual := limits{provider: 8 * time.Second, grace: 2 * time.Second}
	short := limits{provider: time.Second, grace: 100 * time.Millisecond}
	// Less than the grace, between it and the limit of a provider, and more than the short limit.
	const atOnce, graced, limited = 1900 * time.Millisecond, 3200 * time.Millisecond, 6 * time.Second
	for name, c := range map[string]struct {
		limit     limits
		providers []fakeProvider
		want      string
		failure   error
		longest   time.Duration
	}{
		"first in order":     {usual, []fakeProvider{{"a", slow, one, nil}, {"b", 0, two, nil}}, "a", nil, atOnce},
		"later not awaited":  {usual, []fakeProvider{{"a", 0, one, nil}, {"b", never, two, nil}}, "a", nil, atOnce},
		"grace for the slow": {usual, []fakeProvider{{"a", never, one, nil}, {"b", slow, two, nil}}, "b", nil, graced},
		"many slow ones": {usual, []fakeProvider{{"a", never, one, nil}, {"b", never, one, nil}, {"c", never, one, nil},
			{"d", 0, two, nil}}, "d", nil, graced},
		"grace begins once": {usual, []fakeProvider{{"a", never, one, nil}, {"b", 0, two, nil},
			{"c", 1500 * time.Millisecond, one, nil}}, "b", nil, graced},
		"absent at once":   {usual, []fakeProvider{{"a", 0, nil, absent}, {"b", slow, two, nil}}, "b", nil, atOnce},
		"nothing at all":   {usual, []fakeProvider{{"a", slow, nil, absent}, {"b", 0, nil, nil}}, "", nil, atOnce},
		"never":            {short, []fakeProvider{{"a", never, nil, nil}, {"b", never, nil, nil}}, "", nil, limited},
		"a failure counts": {usual, []fakeProvider{{"a", 0, nil, broken}, {"b", 0, two, nil}}, "a", broken, atOnce},
		"a later failure waits": {usual, []fakeProvider{{"a", 2500 * time.Millisecond, one, nil}, {"b", 0, nil, broken}},
			"a", nil, limited},
		"no providers": {usual, nil, "", nil, atOnce},
	} {
		c := c
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var providers []provider
			for _, one := range c.providers {
				providers = append(providers, one)
			}
			began := time.Now()
			chosen, _, err := firstAnswer(context.Background(), providers, c.limit)
			took := time.Since(began)
			got := ""
			if chosen != nil {
				got = chosen.name()
			}
			if got != c.want || !errors.Is(err, c.failure) {
				t.Errorf("%q, %v", got, err)
			}
			if took > c.longest {
				t.Errorf("took %v, wanted at most %v", took, c.longest)
			}
		})
	}
}

// A service that takes requests and never answers, as a firewall may look like, and one that does.
func TestASlowCloudDelaysNoOther(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); server.Close() })
	_, clouds := readClouds(t)
	_, base := serve(t, clouds["digitalocean"].Routes)
	providers := []provider{
		at("aws", server.URL, ""), at("gcp", server.URL, ""), at("digitalocean", base, ""), at("vultr", server.URL, ""),
	}
	began := time.Now()
	limit := limits{provider: time.Minute, grace: 300 * time.Millisecond}
	chosen, found, err := firstAnswer(context.Background(), providers, limit)
	if err != nil || chosen.name() != "DigitalOcean" || found.files["id"] != "2756294" {
		t.Errorf("%v, %v, %v", chosen, found, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTheSMBIOSNamesTheCloud(t *testing.T) {
	_, clouds := readClouds(t)
	files := map[string]string{"manufacturer": "sys_vendor", "product": "product_name", "asset": "chassis_asset_tag"}
	for name, document := range clouds {
		directory := t.TempDir()
		for field, value := range document.SMBIOS {
			if err := os.WriteFile(filepath.Join(directory, files[field]), []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := usualProviders(directory); got[0] != name {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := usualProviders(t.TempDir()); len(got) != 1 || got[0] != "cdrom" {
		t.Errorf("a machine of no cloud: %v", got)
	}
}

func TestLongNamesLoseTheirDomain(t *testing.T) {
	long := "web.a-zone.c.a-project-with-quite-a-long-name-that-somebody-gave-it.internal"
	for name, want := range map[string]string{long: "web", "web.example.org\n": "web.example.org"} {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, "hostname"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := applyHostname(directory, func(n []byte) error { got = string(n); return nil }); err != nil || got != want {
			t.Errorf("%q became %q, %v", name, got, err)
		}
	}
}

func TestWhatAProviderGivesIsWritten(t *testing.T) {
	to := t.TempDir()
	all := &network{}
	all.add("eth0", "").DHCP4 = true
	found := metadata{
		files: map[string]string{"hostname": "web"}, keys: []string{"ssh-rsa a", "ssh-rsa b"}, network: all,
		userdata: []byte(`{"hostname": "mine"}`),
	}
	if err := write(to, "AWS", found); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"provider": "AWS", "hostname": "mine", "ssh/authorized_keys": "ssh-rsa a\nssh-rsa b\n",
		"network.json": "{\n  \"interfaces\": [\n    {\n      \"name\": \"eth0\",\n      \"dhcp4\": true\n    }\n  ]\n}\n",
	} {
		if got := content(t, to, path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	about, err := os.Stat(filepath.Join(to, "ssh", "authorized_keys"))
	if err != nil || about.Mode() != 0o600 {
		t.Errorf("%v, %v", about.Mode(), err)
	}
}
