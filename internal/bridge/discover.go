package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// site is where and how to log in for one server.
type site struct {
	resource string   // what the server calls itself
	scopes   []string // that the server names as the baseline
	issuer   issuerMetadata
	guessed  bool // the issuer says nothing of itself: these are the places of 2025-03-26
}

// resourceMetadata is what matters here of RFC 9728 §2.
type resourceMetadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
}

// issuerMetadata is what matters here of RFC 8414 §2, OpenID Connect Discovery §3
// and the draft on client-id metadata documents.
type issuerMetadata struct {
	Issuer           string   `json:"issuer"`
	AuthorizationURL string   `json:"authorization_endpoint"`
	TokenURL         string   `json:"token_endpoint"`
	RegistrationURL  string   `json:"registration_endpoint"`
	RevocationURL    string   `json:"revocation_endpoint"`
	Scopes           []string `json:"scopes_supported"`
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
	TokenMethods     []string `json:"token_endpoint_auth_methods_supported"`
	IssInResponse    bool     `json:"authorization_response_iss_parameter_supported"`
	ClientDocuments  bool     `json:"client_id_metadata_document_supported"`
}

const maxDocument = 256 << 10 // bytes of an answer

// web fetches the documents of a login. Redirects are not followed: none of these
// documents may be somewhere else than where it was asked for.
type web struct {
	client *http.Client
	local  bool // the server is on this machine, so its issuer may be
}

// safe refuses a URL that a secret would reach in the clear, and one on this
// machine that a server elsewhere names.
func (w web) safe(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q: want an absolute URL without user and fragment", raw)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) && w.local:
		return nil
	}
	return fmt.Errorf("%s: want https (http is for servers on this machine)", raw)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// errNoDocument means that a place holds no document, so the next one is tried.
var errNoDocument = errors.New("no document")

// get fetches a JSON document.
func (w web) get(ctx context.Context, from string, into any) error {
	if err := w.safe(from); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return err
	}
	return w.fetch(req, http.StatusOK, into)
}

func (w web) fetch(req *http.Request, want int, into any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return fmt.Errorf("%s: %w", req.URL, err)
	}
	if resp.StatusCode != want {
		var why struct {
			Code string `json:"error"`
			Text string `json:"error_description"`
		}
		if json.Unmarshal(body, &why) == nil && why.Code != "" {
			return fmt.Errorf("%s: %q %q", req.URL, why.Code, why.Text)
		}
		return fmt.Errorf("%s: status %d: %w", req.URL, resp.StatusCode, errNoDocument)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", req.URL, err)
	}
	return nil
}

// discover follows the challenge of a server to its authorization server: RFC 9728
// for the first step, RFC 8414 or OpenID Connect Discovery for the second.
func (w web) discover(ctx context.Context, endpoint string, c challenge) (*site, error) {
	doc, err := w.resource(ctx, endpoint, c.params["resource_metadata"])
	if errors.Is(err, errNoWhere) {
		return w.origin(ctx, endpoint)
	}
	if err != nil {
		return nil, err
	}
	if !holds(doc.Resource, endpoint) {
		return nil, fmt.Errorf("the server calls itself %q: use that as the URL", doc.Resource)
	}
	if len(doc.Servers) == 0 {
		return nil, errors.New("the server names no authorization server")
	}
	var errs []error
	for _, issuer := range doc.Servers[:min(len(doc.Servers), 4)] {
		m, err := w.issuer(ctx, issuer)
		if err == nil {
			return &site{resource: doc.Resource, scopes: doc.Scopes, issuer: *m}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// holds reports whether a resource is the endpoint, or what it is a part of: servers
// with one resource for a whole origin name that.
func holds(resource, endpoint string) bool {
	r, e := canonical(resource), canonical(endpoint)
	return r == e || resource != "" && strings.HasPrefix(e, r+"/") && !strings.Contains(r, "?")
}

// origin asks the server itself for its authorization server, which is what
// 2025-03-26 had: metadata at the root, or endpoints in their usual places.
func (w web) origin(ctx context.Context, endpoint string) (*site, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	root := u.Scheme + "://" + u.Host
	m, err := w.issuer(ctx, root)
	if err == nil {
		return &site{resource: endpoint, issuer: *m}, nil
	}
	if !errors.Is(err, errNoDocument) {
		return nil, err
	}
	return &site{resource: endpoint, guessed: true, issuer: issuerMetadata{
		Issuer: root, AuthorizationURL: root + "/authorize", TokenURL: root + "/token", RegistrationURL: root + "/register",
		ChallengeMethods: []string{"S256"}, // nobody says so: a server that does not check the verifier loses nothing by getting it
	}}, nil
}

// errNoWhere means that neither the server's challenge nor its well-known places
// lead to an authorization server.
var errNoWhere = errors.New("the server does not say where to log in: give it a token with --token")

// resource fetches the metadata of the server, from where its challenge says or,
// without that, from the well-known places.
func (w web) resource(ctx context.Context, endpoint, named string) (*resourceMetadata, error) {
	places := []string{named}
	if named == "" {
		u, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		root := u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource"
		places = []string{root + strings.TrimSuffix(u.EscapedPath(), "/"), root}
	}
	for _, place := range places {
		doc := &resourceMetadata{}
		err := w.get(ctx, place, doc)
		if err == nil {
			return doc, nil
		}
		if !errors.Is(err, errNoDocument) {
			return nil, err
		}
	}
	if named != "" {
		return nil, fmt.Errorf("the server's challenge leads to %q, and there is nothing", named)
	}
	return nil, errNoWhere
}

// issuer fetches the metadata of an authorization server.
func (w web) issuer(ctx context.Context, issuer string) (*issuerMetadata, error) {
	if err := w.safe(issuer); err != nil {
		return nil, fmt.Errorf("authorization server: %w", err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	root, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	places := []string{
		root + "/.well-known/oauth-authorization-server" + path,
		root + "/.well-known/openid-configuration" + path,
		root + path + "/.well-known/openid-configuration",
	}
	for _, place := range slices.Compact(places) {
		m := &issuerMetadata{}
		err := w.get(ctx, place, m)
		if errors.Is(err, errNoDocument) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return m, w.check(m, issuer, place)
	}
	return nil, fmt.Errorf("authorization server %s: it has no metadata: %w", issuer, errNoDocument)
}

// check refuses metadata of somebody else (RFC 8414 §3.3) and endpoints that are
// not safe.
func (w web) check(m *issuerMetadata, issuer, place string) error {
	if m.Issuer != issuer {
		return fmt.Errorf("%s is the metadata of %q: want %q", place, m.Issuer, issuer)
	}
	endpoints := []string{m.TokenURL}
	for _, optional := range []string{m.AuthorizationURL, m.RegistrationURL, m.RevocationURL} {
		if optional != "" {
			endpoints = append(endpoints, optional)
		}
	}
	for _, endpoint := range endpoints {
		if err := w.safe(endpoint); err != nil {
			return fmt.Errorf("%s: endpoint %w", place, err)
		}
	}
	return nil
}

// interactive refuses servers that nobody can log in at safely.
func (m *issuerMetadata) interactive() error {
	switch {
	case m.AuthorizationURL == "":
		return fmt.Errorf("authorization server %s: it has no login page", m.Issuer)
	case !slices.Contains(m.ChallengeMethods, "S256"):
		return fmt.Errorf("authorization server %s: it does not offer PKCE with S256", m.Issuer)
	}
	return nil
}

// canonical writes a URL so that the same resource is the same text.
func canonical(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Scheme, u.Host, u.Fragment = strings.ToLower(u.Scheme), strings.ToLower(u.Host), ""
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u.String()
}
