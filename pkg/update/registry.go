package main

// Update sets in OCI registries: a manifest whose layers are the files, with their names as titles.

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	titleKey        = "org.opencontainers.image.title"
	manifestKinds   = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
	largestManifest = 4 << 20
)

var (
	repositoryForm = regexp.MustCompile(`^[a-z0-9]+([._/-]+[a-z0-9]+)*$`)
	challengeForm  = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
)

type registry struct {
	base, repository, reference string
	basic, token                string
	client                      *http.Client
	stall                       time.Duration
	digests                     map[string]string
}

// newRegistry takes oci://HOST/REPOSITORY[:TAG|@DIGEST]; oci+http: is without TLS.
func newRegistry(ctx context.Context, where *url.URL, s settings) (source, error) {
	scheme := "https"
	if where.Scheme == "oci+http" {
		scheme = "http"
	}
	r := &registry{base: scheme + "://" + where.Host, reference: "latest", client: newClient(s), stall: s.stall}
	r.repository = strings.TrimPrefix(where.Path, "/")
	if name, digest, ok := strings.Cut(r.repository, "@"); ok {
		r.repository, r.reference = name, digest
	} else if name, tag, ok := strings.Cut(r.repository, ":"); ok {
		r.repository, r.reference = name, tag
	}
	if where.Host == "" || !repositoryForm.MatchString(r.repository) {
		return nil, refuse("%s is not the name of an artefact in a registry", where)
	}
	var err error
	if r.basic, err = credentials(s.auth, where.Host); err != nil {
		return nil, err
	}
	return r, attempt(ctx, s, func() (bool, error) { return false, r.readManifest(ctx) })
}

// credentials returns what a file like Docker's config.json has for a host.
func credentials(path, host string) (string, error) {
	if path == "" {
		return "", nil
	}
	var all struct {
		Auths map[string]struct {
			Auth, Username, Password string
		} `json:"auths"`
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	one := all.Auths[host]
	if one.Auth == "" && one.Username != "" {
		one.Auth = base64.StdEncoding.EncodeToString([]byte(one.Username + ":" + one.Password))
	}
	return one.Auth, nil
}

func (r *registry) readManifest(ctx context.Context) error {
	body, err := r.get(ctx, "manifests/"+r.reference, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, largestManifest))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); strings.HasPrefix(r.reference, "sha256:") && r.reference != "sha256:"+hex.EncodeToString(sum[:]) {
		return refuse("the manifest is not %s", r.reference)
	}
	var found struct {
		Layers []struct {
			Digest      string            `json:"digest"`
			Annotations map[string]string `json:"annotations"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return permanent{fmt.Errorf("the manifest: %w", err)}
	}
	r.digests = map[string]string{}
	for _, one := range found.Layers {
		digest := strings.TrimPrefix(one.Digest, "sha256:")
		if title := one.Annotations[titleKey]; title != "" && checkDigest(digest) == nil {
			r.digests[title] = one.Digest
		}
	}
	return nil
}

func (r *registry) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	digest, ok := r.digests[name]
	if !ok {
		return nil, refuse("%s:%s has no layer with the title %s", r.repository, r.reference, name)
	}
	return r.get(ctx, "blobs/"+digest, offset)
}

func (r *registry) close() { r.client.CloseIdleConnections() }

// get asks, and once more with a token if the registry wants one; tokens get old.
func (r *registry) get(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	where := r.base + "/v2/" + r.repository + "/" + path
	body, err := openURL(ctx, r.client, where, offset, r.stall, r.header())
	var status statusError
	if !errors.As(err, &status) || status.code != http.StatusUnauthorized {
		return body, err
	}
	kind, rest, _ := strings.Cut(status.header.Get("WWW-Authenticate"), " ")
	switch {
	case strings.EqualFold(kind, "bearer"):
		if err := r.login(ctx, rest); err != nil {
			return nil, err
		}
	case r.token != "" || r.basic == "" || !strings.EqualFold(kind, "basic"):
		return nil, err
	default:
		r.token = "Basic " + r.basic
	}
	return openURL(ctx, r.client, where, offset, r.stall, r.header())
}

func (r *registry) header() http.Header {
	header := http.Header{"Accept": {manifestKinds, "*/*"}}
	if r.token != "" {
		header.Set("Authorization", r.token)
	}
	return header
}

// login gets a token where the registry says.
func (r *registry) login(ctx context.Context, challenge string) error {
	words := map[string]string{}
	for _, one := range challengeForm.FindAllStringSubmatch(challenge, -1) {
		words[one[1]] = one[2]
	}
	realm, err := url.Parse(words["realm"])
	if err != nil || realm.Host == "" || !strings.HasPrefix(r.base, realm.Scheme+":") {
		return refuse("the registry wants a token from %q", words["realm"])
	}
	query := realm.Query()
	if words["service"] != "" {
		query.Set("service", words["service"])
	}
	query.Set("scope", "repository:"+r.repository+":pull")
	realm.RawQuery = query.Encode()
	header := http.Header{}
	if r.basic != "" {
		header.Set("Authorization", "Basic "+r.basic)
	}
	body, err := openURL(ctx, r.client, realm.String(), 0, r.stall, header)
	if err != nil {
		return err
	}
	defer body.Close()
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(body, largestManifest)).Decode(&answer); err != nil {
		return err
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	r.token = "Bearer " + answer.Token
	return nil
}
