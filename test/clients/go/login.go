package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// desk is where a login ends: the callback of a native application on a loopback
// address (RFC 8252), and the browser that gets there.
type desk struct {
	url     string
	server  *http.Server
	answers chan url.Values
	tap     *tap

	pages []url.Values // the authorization requests that were opened
}

func newDesk(t *tap) (*desk, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &desk{url: "http://" + l.Addr().String() + "/callback", answers: make(chan url.Values, 1), tap: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		select {
		case d.answers <- r.URL.Query():
			_, _ = io.WriteString(w, "You may close this page.") // nobody reads it
		default:
			http.Error(w, "there is an answer already", http.StatusConflict)
		}
	})
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = d.server.Serve(l) }() // until close
	return d, nil
}

func (d *desk) close() { _ = d.server.Close() }

// login opens the page of an authorization request, picks alice and waits for the
// answer at the callback.
func (d *desk) login(ctx context.Context, page string) (url.Values, error) {
	u, err := url.Parse(page)
	if err != nil {
		return nil, err
	}
	d.pages = append(d.pages, u.Query())
	if err := d.browse(ctx, page); err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	select {
	case answer := <-d.answers:
		if answer.Get("code") == "" {
			return nil, fmt.Errorf("the login was refused: %s %s", answer.Get("error"), answer.Get("error_description"))
		}
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var (
	formTag   = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	hiddenTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	buttonTag = regexp.MustCompile(`<button name="user" value="alice"`)
)

// browse does what a person does: read the page, press Alice's button, and let the
// browser follow to the callback.
func (d *desk) browse(ctx context.Context, page string) error {
	browser := &http.Client{}
	defer browser.CloseIdleConnections()
	body, final, err := fetch(ctx, browser, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	action := formTag.FindStringSubmatch(body)
	if action == nil || !buttonTag.MatchString(body) {
		return errors.New("the page has no form with a button for alice")
	}
	form := url.Values{"user": {"alice"}}
	for _, field := range hiddenTag.FindAllStringSubmatch(body, -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	target, err := final.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return err
	}
	_, final, err = fetch(ctx, browser, http.MethodPost, target.String(), form)
	if err == nil && !strings.HasPrefix(final.String(), d.url) {
		err = fmt.Errorf("the login led to %s", final.Redacted())
	}
	return err
}

func fetch(ctx context.Context, c *http.Client, method, to string, form url.Values) (string, *url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), resp.Request.URL, err
}
