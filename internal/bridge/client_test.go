package bridge

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const pingLine = `{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n"

// visit is a process that makes one call and ends. It returns the answer and what a
// person saw.
func (a *authority) visit(t *testing.T, login Login) (out, log string) {
	t.Helper()
	var b bytes.Buffer
	login.Wait = max(login.Wait, 10*time.Second)
	log = a.exchange(t, strings.NewReader(pingLine), &b, login)
	return b.String(), log
}

// forgetTokens leaves what a user leaves who has to log in again.
func forgetTokens(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "lyceum", "login", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("logins %q, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
}

// Another login is by the same client, with the same redirect URI, until the server
// has forgotten the client, its secret has expired, or its port is taken.
func TestRegistrationIsUsedAgain(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	login := Login{CacheDir: dir, Open: a.open}
	again := func(why string, clients int) url.Values {
		t.Helper()
		if out, log := a.visit(t, login); !strings.Contains(out, `"result"`) {
			t.Fatalf("%s: %s\n%s", why, out, log)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		last := a.asked[len(a.asked)-1]
		if len(a.clients) != clients || last.Get("client_id") != a.clients[clients-1] {
			t.Fatalf("%s: %d clients, the last login was by %q: want %d", why, len(a.clients), last.Get("client_id"), clients)
		}
		return last
	}
	first := again("the first login", 1)
	files, err := filepath.Glob(filepath.Join(dir, "lyceum", "client", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("clients %q, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the client's file: %v %v", info, err)
	}
	forgetTokens(t, dir)
	if second := again("another login", 1); second.Get("redirect_uri") != first.Get("redirect_uri") {
		t.Errorf("redirect URIs %q and %q", first.Get("redirect_uri"), second.Get("redirect_uri"))
	}

	forgetTokens(t, dir)
	a.mu.Lock()
	a.unknown[a.clients[0]] = true
	a.mu.Unlock()
	moved := again("the server has forgotten it", 2)

	forgetTokens(t, dir)
	u, err := url.Parse(moved.Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	a.register = map[string]any{"client_secret": "s", "client_secret_expires_at": time.Now().Add(5 * time.Second).Unix()}
	again("the port is taken", 3)
	taken.Close()

	forgetTokens(t, dir)
	again("the secret expires", 4)
}

// A client that is forgotten between the page and the code costs a second login, and
// not more.
func TestClientIsForgottenMeanwhile(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	a.visit(t, Login{CacheDir: dir, Open: a.open})
	forgetTokens(t, dir)
	out, log := a.visit(t, Login{CacheDir: dir, Open: func(page string) error {
		a.mu.Lock()
		a.unknown["client0"] = true
		a.mu.Unlock()
		return a.open(page)
	}})
	if !strings.Contains(out, `"result"`) || !strings.Contains(log, "does not know this client any more") || len(a.clients) != 2 || len(a.grants) != 3 {
		t.Errorf("%s, %d clients, %d pages\n%s", out, len(a.clients), len(a.grants), log)
	}
}

// Who the bridge is: what was given, a document if the server takes one, a client
// that is registered, or nobody.
func TestWhichClient(t *testing.T) {
	const document = "https://example.com/client.json"
	tests := []struct {
		name     string
		login    Login
		metadata map[string]any
		want     string // client_id at the login page, "" if there is no login
		why      string // in the answer, if there is no login
	}{
		{"a document", Login{MetadataURL: document}, map[string]any{"client_id_metadata_document_supported": true}, document, ""},
		{"a document, as an id", Login{ClientID: document}, map[string]any{"client_id_metadata_document_supported": true}, document, ""},
		{"a document, and none is taken", Login{MetadataURL: document}, nil, "client0", ""},
		{"an id before a document", Login{ClientID: "mine", MetadataURL: document}, map[string]any{"client_id_metadata_document_supported": true}, "mine", ""},
		{"registered", Login{}, nil, "client0", ""},
		{"nothing is possible", Login{}, map[string]any{"registration_endpoint": nil}, "", "it takes no registrations: register a client there and give its id with --client-id"},
		{"nothing is possible, with a document", Login{MetadataURL: document}, map[string]any{"registration_endpoint": nil}, "", "no client-id metadata documents: register a client there and give its id with --client-id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t)
			a.metadata = tt.metadata
			tt.login.CacheDir, tt.login.Open = t.TempDir(), a.open
			out, log := a.visit(t, tt.login)
			switch {
			case tt.want == "" && (len(a.asked) > 0 || !strings.Contains(out, tt.why) || strings.Count(log, tt.why) != 1):
				t.Errorf("%s\n%s", out, log)
			case tt.want != "" && (!strings.Contains(out, `"result"`) || a.asked[0].Get("client_id") != tt.want):
				t.Errorf("%s, client %v\n%s", out, a.asked, log)
			}
		})
	}
}

// How the client shows who it is at the token endpoint.
func TestTokenEndpointMethods(t *testing.T) {
	tests := []struct {
		methods  any
		register map[string]any
		login    Login
		secret   string
		want     string
	}{
		{[]string{"none"}, map[string]any{"client_secret": "s"}, Login{}, "", "none"},
		{[]string{"client_secret_basic"}, map[string]any{"client_secret": "s"}, Login{}, "s", "basic"},
		{[]string{"client_secret_post"}, map[string]any{"client_secret": "s"}, Login{}, "s", "post"},
		{[]string{"client_secret_basic", "client_secret_post"}, map[string]any{"client_secret": "s", "token_endpoint_auth_method": "client_secret_post"}, Login{}, "s", "post"},
		{nil, map[string]any{"client_secret": "s", "token_endpoint_auth_method": nil}, Login{}, "s", "basic"},
		{nil, nil, Login{ClientID: "mine", ClientSecret: "s"}, "s", "basic"},
		{[]string{"private_key_jwt", "client_secret_post"}, nil, Login{ClientID: "mine", ClientSecret: "s"}, "s", "post"},
		{[]string{"client_secret_basic"}, nil, Login{ClientID: "mine", ClientSecret: "s", Machine: true}, "s", "basic"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.methods, tt.want), func(t *testing.T) {
			a := newAuthority(t)
			a.metadata, a.register, a.secret = map[string]any{"token_endpoint_auth_methods_supported": tt.methods}, tt.register, tt.secret
			tt.login.CacheDir, tt.login.Open = t.TempDir(), a.open
			out, log := a.visit(t, tt.login)
			if !strings.Contains(out, `"result"`) || len(a.styles) != 1 || a.styles[0] != tt.want {
				t.Errorf("%s, shown as %q: want %s\n%s", out, a.styles, tt.want, log)
			}
		})
	}
}

// A program logs in without a person, gets a further scope, and another token when
// the first one has expired.
func TestMachine(t *testing.T) {
	a := newAuthority(t)
	a.secret = "s"
	a.metadata = map[string]any{"authorization_endpoint": nil, "code_challenge_methods_supported": nil, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"}}
	login := Login{CacheDir: t.TempDir(), ClientID: "mine", ClientSecret: "s", Machine: true}
	var out bytes.Buffer
	log := a.exchange(t, strings.NewReader(pingLine+`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}`+"\n"), &out, login)
	if strings.Count(out.String(), `"result"`) != 2 || strings.Contains(log, "Open this page") {
		t.Fatalf("%s\n%s", out.String(), log)
	}
	if len(a.forms) != 2 || a.forms[0].Get("scope") != "reason" || a.forms[1].Get("scope") != "code reason" || a.forms[0].Get("resource") != a.URL+"/mcp" {
		t.Errorf("asked for %v", a.forms)
	}
	files, err := filepath.Glob(filepath.Join(login.CacheDir, "lyceum", "login", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	e := &entry{}
	if _, err := readPrivate(files[0], e); err != nil {
		t.Fatal(err)
	}
	e.Expires = time.Now()
	if err := writePrivate(files[0], e); err != nil {
		t.Fatal(err)
	}
	if out, log := a.visit(t, login); !strings.Contains(out, `"result"`) || len(a.forms) != 3 {
		t.Errorf("after its token expired: %s, %d tokens\n%s", out, len(a.forms), log)
	}
	a.refuse = "unauthorized_client"
	e.Expires, e.AccessToken = time.Now(), "old"
	if err := writePrivate(files[0], e); err != nil {
		t.Fatal(err)
	}
	if out, log := a.visit(t, login); !strings.Contains(out, `"error"`) || strings.Count(log, `answered \"unauthorized_client\"`)+strings.Count(log, `answered "unauthorized_client"`) != 1 {
		t.Errorf("refused: %s\n%s", out, log)
	}
}

func TestLoginThatCannotBeMeant(t *testing.T) {
	for _, l := range []Login{
		{MetadataURL: "http://example.com/c.json"},
		{MetadataURL: "https://example.com"},
		{MetadataURL: "https://example.com/c.json#x"},
		{Machine: true, ClientID: "x"},
		{Machine: true, ClientID: "https://example.com/c.json", ClientSecret: "s"},
		{ClientSecret: "s"},
		{CallbackPort: 70000},
	} {
		if l.check() == nil {
			t.Errorf("%+v is taken", l)
		}
	}
	if err := (&Login{MetadataURL: "https://example.com/c.json", ClientID: "x", ClientSecret: "s", Machine: true, CallbackPort: 1}).check(); err != nil {
		t.Error(err)
	}
}
