package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority is an authorization server and the MCP server that trusts it: calls
// need a token, and one method a further scope.
type authority struct {
	*httptest.Server
	users  sync.WaitGroup // at their browsers
	mu     sync.Mutex
	grants []string          // scopes of each login, in order
	codes  map[string]string // scope by code
	tokens map[string]string // scope by access token
	update chan struct{}     // makes the server tell of an update

	// Set before the first request, or under mu.
	metadata map[string]any     // members of the metadata, in place of the usual ones; nil leaves one out
	resource string             // what the server calls itself, "" is its URL
	redirect func(q url.Values) // changes the answer that the browser takes back
	register map[string]any     // members of the answer to a registration
	refuse   string             // code with which the token endpoint refuses
	secret   string             // that clients must show at the token endpoint, "" is none
	forms    []url.Values       // of the token endpoint, in order
	styles   []string           // how the client showed who it is there
	asked    []url.Values       // queries of the login page, in order
	clients  []string           // that are registered, in order
	unknown  map[string]bool    // clients that are not known any more
	headers  []http.Header      // of what came to any endpoint of the authorization server
}

const metaPath = "/.well-known/oauth-protected-resource/mcp"

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{codes: map[string]string{}, tokens: map[string]string{}, update: make(chan struct{}), unknown: map[string]bool{}}
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc(metaPath, func(w http.ResponseWriter, _ *http.Request) {
		name := a.URL + "/mcp"
		if a.resource != "" {
			name = a.resource
		}
		reply(w, map[string]any{"resource": name, "authorization_servers": []string{a.URL}, "scopes_supported": []string{"reason", "code"}})
	})
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		m := map[string]any{
			"issuer": a.URL, "authorization_endpoint": a.URL + "/authorize", "token_endpoint": a.URL + "/token", "registration_endpoint": a.URL + "/register",
			"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
			"grant_types_supported": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_methods_supported": []string{"none"},
			"authorization_response_iss_parameter_supported": true,
		}
		for key, v := range a.metadata {
			m[key] = v
			if v == nil {
				delete(m, key)
			}
		}
		reply(w, m)
	})
	mux.HandleFunc("/register", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		_ = json.NewDecoder(r.Body).Decode(&in)
		a.mu.Lock()
		in["client_id"] = fmt.Sprintf("client%d", len(a.clients))
		a.clients = append(a.clients, in["client_id"].(string))
		a.headers = append(a.headers, r.Header)
		maps.Copy(in, a.register)
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(in)
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("resource") != a.URL+"/mcp" && a.resource == "" {
			http.Error(w, "no PKCE, or no resource", http.StatusBadRequest)
			return
		}
		a.mu.Lock()
		code := fmt.Sprintf("code%d", len(a.grants))
		a.grants = append(a.grants, q.Get("scope"))
		a.asked = append(a.asked, q)
		a.codes[code] = q.Get("scope")
		a.mu.Unlock()
		back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {a.URL}}
		if a.redirect != nil {
			a.redirect(back)
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	mux.HandleFunc("/token", a.token)
	mux.HandleFunc("/mcp", a.mcp)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

// token is the token endpoint.
func (a *authority) token(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id, secret, basic := r.BasicAuth()
	style := "none"
	if basic {
		style = "basic"
	} else if id, secret = r.FormValue("client_id"), r.FormValue("client_secret"); secret != "" {
		style = "post"
	}
	_ = r.ParseForm()
	a.forms, a.styles, a.headers = append(a.forms, r.PostForm), append(a.styles, style), append(a.headers, r.Header)
	w.Header().Set("Content-Type", "application/json")
	scope, ok := a.codes[r.FormValue("code")]
	ok = ok && r.FormValue("code_verifier") != ""
	if r.FormValue("grant_type") == "client_credentials" {
		scope, ok = r.FormValue("scope"), true
	}
	why := ""
	switch {
	case a.refuse != "":
		why = a.refuse
	case a.unknown[id] || secret != a.secret:
		why = "invalid_client"
	case !ok:
		why = "invalid_grant"
	}
	if why != "" {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": why, "error_description": "for a test"})
		return
	}
	token := fmt.Sprintf("token%d", len(a.tokens))
	a.tokens[token] = scope
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": scope, "refresh_token": "r"})
}

func (a *authority) mcp(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	scope, ok := a.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	a.mu.Unlock()
	challenge := `Bearer resource_metadata="` + a.URL + metaPath + `"`
	if !ok {
		w.Header().Set("WWW-Authenticate", challenge+`, scope="reason"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case <-a.update:
			fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"x\"}}\n\n")
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
		<-r.Context().Done()
		return
	}
	body, _ := io.ReadAll(r.Body)
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	_ = json.Unmarshal(body, &m)
	switch {
	case m.Method == "tools/call" && !strings.Contains(scope, "code"):
		w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="reason code"`)
		w.WriteHeader(http.StatusForbidden)
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", "s1")
		answer(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"protocolVersion":"2025-11-25"}}`)
	case len(m.ID) == 0:
		w.WriteHeader(http.StatusAccepted)
	default:
		answer(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{}}`)
	}
}

// open is a browser with a user who agrees to everything.
func (a *authority) open(page string) error {
	a.users.Go(func() { _ = browse(page) }) // what fails there is seen in the bridge
	return nil
}

func browse(page string) error {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(page)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (a *authority) exchange(t *testing.T, in io.Reader, out io.Writer, login Login) string {
	t.Helper()
	var log bytes.Buffer
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	defer a.users.Wait()
	if err := Run(t.Context(), in, out, Config{URL: a.URL + "/mcp", Transport: tr, Log: &log, Login: &login, Grace: 10 * time.Second}); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return log.String()
}

// A missing scope is asked for once, with all that the challenge names; what is
// granted is used for the next call, and by the next process, without another
// login.
func TestStepUp(t *testing.T) {
	a := newAuthority(t)
	login := Login{CacheDir: t.TempDir(), Open: a.open, Wait: 10 * time.Second}
	const call = `{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n" + `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}` + "\n"
	for n, want := range []int{2, 2} {
		var out bytes.Buffer
		log := a.exchange(t, strings.NewReader(call), &out, login)
		if strings.Contains(out.String(), "error") || strings.Count(out.String(), `"result"`) != 2 {
			t.Errorf("process %d: %s\n%s", n, out.String(), log)
		}
		a.mu.Lock()
		if len(a.grants) != want || a.grants[0] != "reason" || !strings.Contains(a.grants[1], "code") || !strings.Contains(a.grants[1], "reason") {
			t.Errorf("process %d: logins for %q", n, a.grants)
		}
		a.mu.Unlock()
	}
}

// A user who does not answer is waited for only so long, and the call says why it
// failed.
func TestNobodyLogsIn(t *testing.T) {
	a := newAuthority(t)
	var out bytes.Buffer
	began := time.Now()
	a.exchange(t, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n"), &out, Login{CacheDir: t.TempDir(), Wait: 200 * time.Millisecond})
	if !strings.Contains(out.String(), "login") || !strings.Contains(out.String(), `"error"`) || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %s", time.Since(began), out.String())
	}
}

// What the server tells outside of calls reaches the host, in the revisions that
// have a stream for it.
func TestUpdatesReachTheHost(t *testing.T) {
	a := newAuthority(t)
	in, host := io.Pipe()
	out, far := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.exchange(t, in, far, Login{CacheDir: t.TempDir(), Open: a.open, Wait: 10 * time.Second})
		_ = far.Close()
	}()
	lines := json.NewDecoder(out)
	next := func() (m struct{ Method string }) {
		t.Helper()
		if err := lines.Decode(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	fmt.Fprintln(host, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	next()
	fmt.Fprintln(host, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	a.update <- struct{}{} // once the stream stands
	if m := next(); m.Method != "notifications/resources/updated" {
		t.Errorf("the host got %+v", m)
	}
	_ = host.Close()
	<-done
}
