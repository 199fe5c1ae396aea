package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const maxRedirects = 3

// fetcher gets an issuer's documents. It is used by one goroutine at a time.
type fetcher struct {
	config Config
	client *http.Client

	discovered string    // the jwks_uri of the metadata
	until      time.Time // when it is asked for again
}

func newFetcher(config Config, client *http.Client) *fetcher {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.Jar = nil
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		switch first := via[0].URL; {
		case len(via) > maxRedirects:
			return errors.New("too many redirects")
		case r.URL.Scheme != first.Scheme || r.URL.Host != first.Host:
			return fmt.Errorf("redirect to another host, %s", r.URL.Host)
		}
		return nil
	}
	return &fetcher{config: config, client: &c}
}

// keys returns the issuer's keys and how long they are fresh. A place that was
// discovered and fails is discovered anew next time.
func (f *fetcher) keys(ctx context.Context) (keySet, time.Duration, error) {
	place, err := f.place(ctx)
	if err != nil {
		return nil, 0, err
	}
	doc, header, err := f.get(ctx, place)
	if err != nil {
		f.discovered = ""
		return nil, 0, err
	}
	set, err := parseKeys(doc)
	if err != nil {
		f.discovered = ""
		return nil, 0, fmt.Errorf("%s: %w", place, err)
	}
	return set, min(max(maxAge(header), f.config.CacheMin), f.config.CacheMax), nil
}

func (f *fetcher) place(ctx context.Context) (string, error) {
	if f.config.JWKSURL != "" {
		return f.config.JWKSURL, nil
	}
	if f.discovered != "" && time.Now().Before(f.until) {
		return f.discovered, nil
	}
	var errs []error
	for _, place := range metadataURLs(f.config.Issuer) {
		uri, err := f.metadata(ctx, place)
		if err == nil {
			f.discovered, f.until = uri, time.Now().Add(f.config.CacheMax)
			return uri, nil
		}
		errs = append(errs, err)
		if _, ok := errors.AsType[*statusError](err); !ok {
			break // no answer, or a bad one: the other place is not the way out
		}
	}
	return "", errors.Join(errs...)
}

// metadataURLs returns where an issuer describes itself: OpenID Connect
// Discovery §4 appends to its path, RFC 8414 §3.1 inserts before it.
func metadataURLs(issuer string) []string {
	base := strings.TrimSuffix(issuer, "/")
	urls := []string{base + "/.well-known/openid-configuration"}
	if u, err := url.Parse(base); err == nil {
		urls = append(urls, u.Scheme+"://"+u.Host+"/.well-known/oauth-authorization-server"+u.EscapedPath())
	}
	return urls
}

func (f *fetcher) metadata(ctx context.Context, place string) (jwksURI string, err error) {
	doc, _, err := f.get(ctx, place)
	if err != nil {
		return "", err
	}
	var m struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		return "", fmt.Errorf("%s: %w", place, err)
	}
	if m.Issuer != f.config.Issuer {
		return "", fmt.Errorf("%s: its issuer is %s, not the configured %q", place, quote(m.Issuer), f.config.Issuer)
	}
	if err := checkURL(m.JWKSURI); err != nil {
		return "", fmt.Errorf("%s: jwks_uri: %w", place, err)
	}
	if strings.HasPrefix(place, "https:") && !strings.HasPrefix(m.JWKSURI, "https:") {
		return "", fmt.Errorf("%s: jwks_uri %s: want https, as the issuer has", place, quote(m.JWKSURI))
	}
	return m.JWKSURI, nil
}

// statusError is an answer other than 200.
type statusError struct {
	url    string
	status int
}

func (e *statusError) Error() string { return e.url + ": HTTP status " + strconv.Itoa(e.status) }

func (f *fetcher) get(ctx context.Context, place string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.FetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, &statusError{place, answer.StatusCode}
	}
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxDoc+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", place, err)
	}
	if len(doc) > maxDoc {
		return nil, nil, fmt.Errorf("%s: more than %d bytes", place, maxDoc)
	}
	return doc, answer.Header, nil
}

// maxAge returns the max-age of Cache-Control, or 0 for none, and for an answer
// that is not to be cached.
func maxAge(h http.Header) time.Duration {
	var age time.Duration
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	return age
}
