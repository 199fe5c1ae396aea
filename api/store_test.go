package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
)

// The store of a site is a text, or a failure before or after its first bytes.
const storeText = "a store that is longer than what is read before the answer begins"

func (s *site) Backup(_ context.Context, w io.Writer) error {
	if s.ready != nil {
		return s.ready
	}
	_, err := io.WriteString(w, storeText)
	return err
}

func (s *site) Purge(ctx context.Context, o session.Owner) (n PurgeCount, err error) {
	for info := range s.sessions.All() {
		if info.Owner.Tenant == o.Tenant && info.Owner.Subject == o.Subject && (o.Issuer == "" || o.Issuer == info.Owner.Issuer) {
			if err := s.sessions.EndRef(ctx, info.Ref, session.ReasonOperator); err != nil {
				return n, err
			}
			n.Sessions++
		}
	}
	return n, nil
}

// ask sends one request with a token of the given scope.
func (s *site) ask(method, path string, scope policy.Scope, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+string(scope))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func TestBackup(t *testing.T) {
	s := newSite(t)
	if w := s.ask(http.MethodGet, "/api/v1/backup", policy.AdminWrite, ""); w.Code != http.StatusOK || w.Body.String() != storeText {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if !strings.Contains(s.log.String(), "operator=olga") {
		t.Errorf("the log does not say who took it: %s", s.log)
	}
	if w := s.ask(http.MethodGet, "/api/v1/backup", policy.AdminRead, ""); w.Code != http.StatusForbidden {
		t.Errorf("with admin.read: %d %s", w.Code, w.Body)
	}
	s.ready = fault.Newf(fault.NotFound, "nothing is kept")
	if w := s.ask(http.MethodGet, "/api/v1/backup", policy.AdminWrite, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "nothing is kept") {
		t.Errorf("without a store: %d %s", w.Code, w.Body)
	}
	s.ready = errors.New("secret detail")
	if w := s.ask(http.MethodGet, "/api/v1/backup", policy.AdminWrite, ""); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("with a store that fails: %d %s", w.Code, w.Body)
	}
}

func TestPurge(t *testing.T) {
	s := newSite(t)
	for _, o := range []session.Owner{
		{Tenant: "acme", Issuer: "https://a.example", Subject: "ann"},
		{Tenant: "acme", Issuer: "https://b.example", Subject: "ann"},
		{Tenant: "acme", Issuer: "https://a.example", Subject: "bob"},
		{Tenant: "other", Issuer: "https://a.example", Subject: "ann"},
	} {
		h, err := s.sessions.Open(t.Context(), o, session.Params{})
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}
	for _, tt := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"tenant":"acme","subject":"ann","issuer":"https://a.example"}`, 200, `"sessions":1`},
		{`{"tenant":"acme","subject":"ann"}`, 200, `"sessions":1`},
		{`{"tenant":"acme","subject":"ann"}`, 200, `"sessions":0`},
		{`{"tenant":"acme","subject":""}`, 400, "subject"},
		{`{"tenant":"","subject":"ann"}`, 400, "tenant"},
		{`{`, 400, "cannot be read"},
	} {
		if w := s.ask(http.MethodPost, "/api/v1/purge", policy.AdminWrite, tt.body); w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s, want %d with %s", tt.body, w.Code, w.Body, tt.status, tt.want)
		}
	}
	if w := s.ask(http.MethodPost, "/api/v1/purge", policy.AdminRead, `{"tenant":"acme","subject":"bob"}`); w.Code != http.StatusForbidden {
		t.Errorf("with admin.read: %d %s", w.Code, w.Body)
	}
	if n := s.sessions.Stats().Sessions; n != 2 {
		t.Errorf("%d sessions are left, want those of bob and of the other tenant", n)
	}
}

func (s *site) BringBack(_ context.Context, file string) (n ReturnCount, err error) {
	if file != "monday" {
		return n, fault.Newf(fault.NotFound, "there is no file %q", file)
	}
	return ReturnCount{Sessions: 3, Results: 1, Left: 2, Jobs: 4}, nil
}

func TestRestore(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct {
		scope  policy.Scope
		body   string
		status int
		want   string
	}{
		{policy.AdminWrite, `{"file":"monday"}`, 200, `{"jobs":4,"left":2,"results":1,"sessions":3}`},
		{policy.AdminWrite, `{"file":"tuesday"}`, 404, "tuesday"},
		{policy.AdminWrite, `{`, 400, "cannot be read"},
		{policy.AdminRead, `{"file":"monday"}`, 403, ""},
	} {
		if w := s.ask(http.MethodPost, "/api/v1/restore", tt.scope, tt.body); w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s with %s: %d %s, want %d with %s", tt.body, tt.scope, w.Code, w.Body, tt.status, tt.want)
		}
	}
	if !strings.Contains(s.log.String(), "operator=olga") {
		t.Errorf("the log does not say who brought it back: %s", s.log)
	}
}
