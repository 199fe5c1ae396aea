package bridge

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestParseHeader(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"KEY": "k3y", "EMPTY": "", "EVIL": "a\r\nX-Other: b", "NUL": "a\x00"}[name]
		return v, ok
	}
	tests := []struct{ text, name, value, why string }{
		{"X-Api-Key: ${KEY}", "X-Api-Key", "k3y", ""},
		{"x-api-key:plain", "X-Api-Key", "plain", ""},
		{"X-Two: a ${KEY}-${KEY} $KEY", "X-Two", "a k3y-k3y $KEY", ""},
		{"Authorization: Basic ${KEY}", "Authorization", "Basic k3y", ""},
		{"X: a:b", "X", "a:b", ""},
		{"X-Api-Key", "", "", "want Name: value"},
		{"X Y: a", "", "", "want Name: value"},
		{": a", "", "", "want Name: value"},
		{"X: ${NONE}", "", "", `the environment has no "NONE"`},
		{"X: ${KEY", "", "", "has no }"},
		{"X: ${EMPTY}", "", "", "want a value"},
		{"X: ${EVIL}", "", "", "a line break"},
		{"X: a\nY: b", "", "", "a line break"},
		{"X: ${NUL}", "", "", "control character"},
		{"X: " + strings.Repeat("a", maxHeader+1), "", "", "want a value"},
		{"Mcp-Session-Id: a", "", "", "the protocol's own"},
		{"mcp-param-x: a", "", "", "the protocol's own"},
		{"accept: a", "", "", "the protocol's own"},
		{"Host: a", "", "", "the protocol's own"},
		{"last-event-id: a", "", "", "the protocol's own"},
		{"Transfer-Encoding: a", "", "", "the protocol's own"},
	}
	for _, tt := range tests {
		name, value, err := ParseHeader(tt.text, env)
		if name != tt.name || value != tt.value || (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%.60q: %q %q %v", tt.text, name, value, err)
		}
		if err != nil && (strings.Contains(err.Error(), "k3y") || strings.Contains(err.Error(), "X-Other")) {
			t.Errorf("%q tells the value: %v", tt.text, err)
		}
	}
}

// The headers are on every request to the endpoint, and on no other: they are the
// gateway's secrets, not the authorization server's.
func TestHeadersAreForTheEndpoint(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	f := newFar(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		mu.Lock()
		seen[r.Method] = r.Header.Get("X-Api-Key") == "secret" && (r.Method != http.MethodPost || r.Header.Get("Content-Type") == "application/json")
		mu.Unlock()
		switch {
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case strings.Contains(string(body), `"initialize"`):
			w.Header().Set("Mcp-Session-Id", "s1")
			answer(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}`)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	})
	h := http.Header{"X-Api-Key": {"secret"}}
	exchange(t, f, openLine+`{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n", func(c *Config) { c.Headers = h })
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		if !seen[method] {
			t.Errorf("%s: no header, or no request", method)
		}
	}
	a := newAuthority(t)
	var out strings.Builder
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	err := Run(t.Context(), strings.NewReader(pingLine), &out, Config{URL: a.URL + "/mcp", Transport: tr, Headers: h, Login: &Login{CacheDir: t.TempDir(), Open: a.open}})
	a.users.Wait()
	if err != nil || !strings.Contains(out.String(), `"result"`) || len(a.headers) == 0 {
		t.Fatalf("%s, %v", out.String(), err)
	}
	for _, h := range a.headers {
		if h.Get("X-Api-Key") != "" {
			t.Error("the authorization server got the header")
		}
	}
	// Who brings an Authorization of their own does not log in.
	out.Reset()
	b := newAuthority(t)
	err = Run(t.Context(), strings.NewReader(pingLine), &out, Config{
		URL: b.URL + "/mcp", Transport: tr, Headers: http.Header{"Authorization": {"Basic x"}}, Login: &Login{CacheDir: t.TempDir(), Open: b.open},
	})
	if err != nil || !strings.Contains(out.String(), "status 401") || len(b.clients) != 0 {
		t.Errorf("%s, %v, %d clients", out.String(), err, len(b.clients))
	}
}
