package config

import (
	"bytes"
	"flag"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update and look at the change)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// file writes a configuration file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lyceum.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment returns both halves of an environment.
func environment(m map[string]string) (func(string) (string, bool), []string) {
	var list []string
	for name, value := range m {
		list = append(list, name+"="+value)
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }, list
}

// dev is a source that is complete but for what a test adds.
func dev(t *testing.T, yaml string, env map[string]string, flags map[string][]string) Source {
	src := Source{Flags: map[string][]string{"dev": {"true"}}}
	maps.Copy(src.Flags, flags)
	src.Env, src.Environ = environment(env)
	if yaml != "" {
		src.File = file(t, yaml)
	}
	return src
}

func TestDefault(t *testing.T) {
	c := Default()
	tests := []struct {
		path      string
		got, want any
	}{
		{"addr", c.Addr, "127.0.0.1:8383"},
		{"log.level", c.Log.Slog(), slog.LevelInfo},
		{"http.max_body_bytes", c.HTTP.MaxBodyBytes, int64(1 << 20)},
		{"http.allowed_hosts", len(c.HTTP.AllowedHosts), 0},
		{"sessions.idle_ttl", c.Sessions.IdleTTL, time.Hour},
		{"sessions.max_ttl", c.Sessions.MaxTTL, 24 * time.Hour},
		{"sessions.transport_default", c.Sessions.TransportDefault, true},
		{"work.tickets", c.Work.Tickets, 0},
		{"work.quantum", c.Work.Quantum, time.Millisecond},
		{"tools.surface", c.Tools.Surface, "facade"},
		{"telemetry.sample_ratio", c.Telemetry.SampleRatio, 0.01},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", tt.path, tt.got, tt.want)
		}
		if !c.Origin(tt.path).IsDefault() {
			t.Errorf("%s comes from %v", tt.path, c.Origin(tt.path))
		}
	}
	c.Dev = true
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults with dev are refused: %v", err)
	}
}

// TestNames: the three spellings of every setting are its own.
func TestNames(t *testing.T) {
	seen := map[string]string{fileVariable: "the file", "config": "the file"}
	for _, f := range Flags() {
		for _, name := range []string{f.Name, f.Env, f.Key + " "} {
			if other, taken := seen[name]; taken {
				t.Errorf("%s belongs to both %s and %s", name, other, f.Key)
			}
			seen[name] = f.Key
		}
		if f.Doc == "" {
			t.Errorf("%s is not documented", f.Key)
		}
		if serviceLink.MatchString(f.Env) {
			t.Errorf("%s looks like a service link and would be ignored when misspelled", f.Env)
		}
	}
	want := Flag{
		Name: "sessions-idle-ttl", Env: "LYCEUM_SESSIONS_IDLE_TTL", Key: "sessions.idle_ttl", Type: "DURATION", Default: "1h",
		Range: " from 1s to 720h", Doc: "a session ends this long after its last call", Section: "Reasoning sessions",
	}
	found := false
	for _, f := range Flags() {
		found = found || reflect.DeepEqual(f, want)
	}
	if !found {
		t.Errorf("Flags lacks %+v", want)
	}
}

func TestFull(t *testing.T) {
	c, err := Load(Source{File: "testdata/full.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	def := reflect.ValueOf(Default()).Elem()
	got := reflect.ValueOf(c).Elem()
	for _, s := range settings.settings {
		o := c.Origin(s.path)
		if s.path == "storage.key" || s.path == "alerts.webhook_secret" { // their files are set instead
			continue
		}
		if s.path != "dev" && reflect.DeepEqual(got.FieldByIndex(s.index).Interface(), def.FieldByIndex(s.index).Interface()) {
			t.Errorf("testdata/full.yaml leaves %s at its default", s.path)
		}
		if o.layer != fromFile || o.line == 0 {
			t.Errorf("%s comes from %v", s.path, o)
		}
	}
	if got, want := c.HTTP.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")}; !reflect.DeepEqual(got, want) {
		t.Errorf("trusted_proxies = %v, want %v", got, want)
	}
	if got := c.HTTP.MaxInFlight; got != 2000 {
		t.Errorf("max_in_flight = %d, want 2000", got)
	}
	if got := c.Origin("auth.issuers[1].tenant").String(); !strings.HasPrefix(got, "testdata/full.yaml:") {
		t.Errorf("an element's field comes from %s", got)
	}
	if c.Log.Slog() != slog.LevelDebug {
		t.Errorf("log level %v", c.Log.Slog())
	}
}

// TestRoundTrip: what Print writes is a configuration that means the same.
func TestRoundTrip(t *testing.T) {
	for _, src := range []Source{
		{File: "testdata/full.yaml"},
		dev(t, "", nil, nil),
		dev(t, "data: '12: # 3'\noidc_audience: \"yes\"", nil, nil),
	} {
		c, err := Load(src)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := c.Print(&out); err != nil {
			t.Fatal(err)
		}
		again, err := Load(Source{File: file(t, out.String())})
		if err != nil {
			t.Fatalf("the printed configuration is refused: %v\n%s", err, out.String())
		}
		first, second := *c, *again
		first.origins, second.origins = nil, nil
		if !reflect.DeepEqual(first, second) {
			t.Errorf("printed and read again:\n%+v\nwant\n%+v\nprinted:\n%s", second, first, out.String())
		}
	}
}

func TestPrintGolden(t *testing.T) {
	src := dev(t, "",
		map[string]string{"LYCEUM_SESSIONS_IDLE_TTL": "90m", "LYCEUM_HTTP_TRUSTED_PROXIES": "10.0.0.0/8,::1"},
		map[string][]string{"log-level": {"debug"}, "auth-issuers": {"{issuer: https://a.example, audience: x}"}})
	c, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "print.yaml", out.String())
}

func TestSchemaGolden(t *testing.T) {
	golden(t, "schema.json", string(Schema()))
	for range 10 {
		if !bytes.Equal(Schema(), Schema()) {
			t.Fatal("the schema is not the same twice")
		}
	}
}

func TestUsageGolden(t *testing.T) {
	var out bytes.Buffer
	if err := Usage(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "usage.txt", out.String())
}

func TestIssuers(t *testing.T) {
	c, err := Load(Source{File: "testdata/full.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	none := []string{}
	want := []Issuer{
		{
			Issuer: "https://login.example.com", Audience: "urn:lyceum", Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
			Typ: "at+jwt", ScopeClaims: []string{"scope", "scp"}, Audiences: none, Tenants: none, RequiredClaims: none, DPoP: "off", Leeway: 30 * time.Second,
		},
		{
			Issuer: "https://a.example.com/realm", Audience: "https://lyceum.example.com/mcp", JWKSURL: "https://a.example.com/keys",
			Algorithms: []string{"ES384"}, Typ: "compatible", TenantClaim: "org", ScopeClaims: []string{"permissions"},
			Audiences: none, Tenants: []string{"acme", "initech"}, RequiredClaims: []string{"jti"}, DPoP: "required", Leeway: 10 * time.Second, LogoutAudience: "lyceum",
		},
		{
			Issuer: "http://127.0.0.1:7000", Audience: "urn:lyceum", Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
			Typ: "any", Tenant: "acme", ScopeClaims: []string{"scope", "scp"}, Audiences: []string{"urn:old"}, Tenants: none, RequiredClaims: none,
			DPoP: "off", Leeway: 30 * time.Second,
		},
	}
	if got := c.Issuers(); !reflect.DeepEqual(got, want) {
		t.Errorf("issuers\n%+v\nwant\n%+v", got, want)
	}
	in := c.Introspections()
	if len(in) != 1 || in[0].Audience != "urn:lyceum" {
		t.Errorf("introspection %+v", in)
	}
	if c.Auth.Issuers[1].Audience != "" || c.Auth.Introspection[0].Audience != "" {
		t.Error("Issuers or Introspections changed the configuration")
	}
	if tok := c.Auth.Tokens; len(tok) != 1 || !tok[0].ExpiresAt().Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("static tokens %+v", tok)
	}
	if d := c.Auth.Deny; len(d) != 1 || !d[0].IssuedUntil().IsZero() {
		t.Errorf("denials %+v", d)
	}
}

func TestAudience(t *testing.T) {
	tests := []struct{ publicURL, audience, want string }{
		{"", "", ""},
		{"https://x.example", "", "https://x.example/mcp"},
		{"https://x.example/base/", "", "https://x.example/base/mcp"},
		{"https://x.example", "urn:y", "urn:y"},
	}
	for _, tt := range tests {
		c := Config{PublicURL: tt.publicURL, OIDCAudience: tt.audience}
		if got := c.Audience(); got != tt.want {
			t.Errorf("public_url %q, oidc_audience %q: %q, want %q", tt.publicURL, tt.audience, got, tt.want)
		}
	}
}
