package devidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/egress"
)

const (
	maxDocument     = 5 << 10         // bytes, as the draft recommends
	documentTTL     = time.Minute     // short: whoever writes a client changes its document often
	documentTimeout = 5 * time.Second // from the first packet to the last byte
	maxDocuments    = 100             // remembered at once
	maxFetches      = 4               // at once
)

// documents finds the clients whose id is the URL of a document about themselves
// (draft-ietf-oauth-client-id-metadata-document, as MCP has it since 2025-11-25).
// Nobody registers them: the document is fetched when the client comes.
//
// Whoever can send a browser here can make it fetch a URL. So it is https on a
// public address or on this machine only, judged at the moment of dialing,
// without redirects and proxies.
type documents struct {
	http  *http.Client
	slots chan struct{} // one for each fetch that may go on
}

// thisMachine is where whoever develops a client has its document.
var thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func newDocuments(c Config) *documents {
	client := egress.New(egress.Config{Networks: thisMachine, Roots: c.Roots, Timeout: documentTimeout, MaxBytes: maxDocument})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &documents{http: client, slots: make(chan struct{}, maxFetches)}
}

// isDocument tells the URLs of documents from ids that were given out here.
func isDocument(id string) bool { return strings.HasPrefix(id, "https://") }

// fetch returns the client that its id describes.
func (d *documents) fetch(ctx context.Context, id string) (Client, error) {
	u, err := documentURL(id)
	if err != nil {
		return Client{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return Client{}, errors.New("too many documents are being fetched: try again")
	}
	ask := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{"Accept": {"application/json"}}}
	defer d.http.CloseIdleConnections()
	answer, err := d.http.Do(ask.WithContext(ctx))
	if errors.Is(err, egress.ErrForbidden) {
		return Client{}, errors.New("want a public or a loopback address")
	}
	if err != nil {
		return Client{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Client{}, fmt.Errorf("its HTTP status is %d: want 200, without redirect", answer.StatusCode)
	}
	raw, err := io.ReadAll(answer.Body)
	if errors.Is(err, egress.ErrTooLong) {
		return Client{}, fmt.Errorf("want at most %d bytes", maxDocument)
	}
	if err != nil {
		return Client{}, err
	}
	return readDocument(id, raw)
}

// documentURL is §3 of the draft: https, a path without dot segments, no
// fragment, nobody's name.
func documentURL(id string) (*url.URL, error) {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(id, "#") {
		return nil, fmt.Errorf("want an https URL without user and fragment, at most %d bytes", maxURL)
	}
	if u.Path == "" || u.Path == "/" {
		return nil, errors.New("want a URL with a path")
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, errors.New("want a path without dot segments")
		}
	}
	return u, nil
}

// readDocument is §4 of the draft. The client is a public one: a document that
// everybody can read holds no secret, and there are no keys to check here.
func readDocument(id string, raw []byte) (Client, error) {
	var doc struct {
		ID     string  `json:"client_id"`
		Secret *string `json:"client_secret"`
		registration
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Client{}, errors.New("want a JSON object")
	}
	if doc.ID != id {
		return Client{}, fmt.Errorf("its client_id is %.80q: want the URL of the document", doc.ID)
	}
	if doc.Secret != nil || doc.AuthMethod != "" && doc.AuthMethod != "none" {
		return Client{}, errors.New("want a public client: token_endpoint_auth_method none, and no client_secret")
	}
	doc.AuthMethod = "none"
	c, err := doc.client()
	if err != nil {
		return Client{}, err
	}
	if !c.may(grantCode) {
		return Client{}, errors.New("want grant_types with " + grantCode)
	}
	c.ID = id
	if u, err := url.Parse(id); err == nil {
		c.Name = strings.TrimSpace(c.Name + " (" + u.Host + ")") // anybody can call himself anything
	}
	return c, nil
}

// client returns the client with this id. The error is for the person who is
// logging in or the client's developer.
func (i *Issuer) client(ctx context.Context, id string) (Client, error) {
	i.mu.Lock()
	c, ok := i.clients[id]
	if !ok {
		c, ok = i.joined.get(id, time.Now())
	}
	if !ok {
		c, ok = i.described.get(id, time.Now())
	}
	i.mu.Unlock()
	switch {
	case ok:
		return cloned(c), nil
	case !isDocument(id):
		return c, errors.New("this client is not registered (registrations end when the server restarts): make the client register again")
	}
	c, err := i.documents.fetch(ctx, id)
	if err != nil {
		return c, fmt.Errorf("the client's metadata document %.200q is not good: %w", id, err)
	}
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.described.put(id, c, now.Add(documentTTL), now)
	return cloned(c), nil
}

func cloned(c Client) Client {
	c.RedirectURIs, c.Grants = slices.Clone(c.RedirectURIs), slices.Clone(c.Grants)
	return c
}
