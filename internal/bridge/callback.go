package bridge

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const callbackPath = "/callback"

// callback receives the answer of an authorization server on a loopback address
// (RFC 8252 §7.3).
type callback struct {
	listener net.Listener
	state    string
	answer   chan url.Values // the first with the right state
	foreign  func()          // is told of answers with another state
}

// newCallback listens on a port, any if it is "0".
func newCallback(ctx context.Context, port, state string, foreign func()) (*callback, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("wait for the login: %w", err)
	}
	return &callback{listener: l, state: state, answer: make(chan url.Values, 1), foreign: sync.OnceFunc(foreign)}, nil
}

func (c *callback) url() string { return "http://" + c.listener.Addr().String() + callbackPath }

func (c *callback) close() { _ = c.listener.Close() } // it may be closed already

// ServeHTTP answers the browser. An answer with another state is not of this
// login: it is refused, and the right one can still come.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	query := r.URL.Query()
	switch {
	case r.Method != http.MethodGet || r.URL.Path != callbackPath:
		w.WriteHeader(http.StatusNotFound)
		page(w, "There is nothing here.")
		return
	case subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(c.state)) != 1:
		w.WriteHeader(http.StatusBadRequest)
		page(w, "This answer belongs to another login. It was not used.")
		c.foreign()
		return
	}
	select {
	case c.answer <- query:
	default: // a page that was loaded again
	}
	if query.Get("code") == "" {
		page(w, "The login was refused. Close this page and go back to your program.")
		return
	}
	page(w, "Lyceum has the answer. Close this page and go back to your program.")
}

func page(w io.Writer, text string) {
	_, _ = io.WriteString(w, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Lyceum login</title></head><body><main><h1>Lyceum login</h1><p>"+text+"</p></main></body></html>\n") // a browser that left does not need it
}

// wait serves until the answer came or the time is over.
func (c *callback) wait(ctx context.Context, most time.Duration) (url.Values, error) {
	srv := &http.Server{Handler: c, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10}
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	wg.Go(func() { failed <- srv.Serve(c.listener) })
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // for the page on its way
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
		wg.Wait()
	}()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case answer := <-c.answer:
		return answer, nil
	case err := <-failed:
		return nil, fmt.Errorf("wait for the login: %w", err)
	case <-t.C:
		return nil, fmt.Errorf("%w within %s", errNobody, most)
	case <-ctx.Done():
		return nil, fmt.Errorf("the login was given up: %w", context.Cause(ctx))
	}
}

var errNobody = errors.New("nobody logged in")

// code checks the answer of the issuer and returns the code in it.
func code(answer url.Values, issuer *issuerMetadata) (string, error) {
	// RFC 9207 §2.4: an answer of another server is not trusted, not even its errors.
	if iss := answer.Get("iss"); iss != issuer.Issuer && (iss != "" || issuer.IssInResponse) {
		return "", fmt.Errorf("the answer is from %q: want %q", iss, issuer.Issuer)
	}
	switch e, text := answer.Get("error"), answer.Get("error_description"); e {
	case "":
	case "access_denied":
		return "", fmt.Errorf("the login was denied: %q", text)
	case "unauthorized_client", "invalid_client":
		return "", fmt.Errorf("%w: %q %q", errClient, e, text)
	default:
		return "", fmt.Errorf("the authorization server could not do it: %q %q", e, text)
	}
	if answer.Get("code") == "" {
		return "", errors.New("the answer has no code")
	}
	return answer.Get("code"), nil
}
