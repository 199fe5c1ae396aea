package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPrecedence(t *testing.T) {
	const yaml = "log:\n  level: warn\nhttp:\n  allowed_hosts: [a, b]\n"
	env := map[string]string{"LYCEUM_LOG_LEVEL": "error", "LYCEUM_HTTP_ALLOWED_HOSTS": "c"}
	tests := []struct {
		name       string
		yaml       string
		env        map[string]string
		flags      map[string][]string
		level      string
		levelFrom  string
		hosts      []string
		hostOrigin string // of the first
	}{
		{"default", "", nil, nil, "info", "default", []string{}, "default"},
		{"file", yaml, nil, nil, "warn", "lyceum.yaml:2", []string{"a", "b"}, "lyceum.yaml:4"},
		{"env over file", yaml, env, nil, "error", "env LYCEUM_LOG_LEVEL", []string{"c"}, "env LYCEUM_HTTP_ALLOWED_HOSTS"},
		{"flag over env", yaml, env, map[string][]string{"log-level": {"debug"}, "http-allowed-hosts": {"d,e", "f"}}, "debug", "flag --log-level", []string{"d", "e", "f"}, "flag --http-allowed-hosts"},
		{"last flag", "", nil, map[string][]string{"log-level": {"debug", "warn"}}, "warn", "flag --log-level", []string{}, "default"},
		{"empty list from env", yaml, map[string]string{"LYCEUM_HTTP_ALLOWED_HOSTS": ""}, nil, "warn", "lyceum.yaml:2", []string{}, "env LYCEUM_HTTP_ALLOWED_HOSTS"},
		{"dotted keys", "log.level: warn\n", nil, nil, "warn", "lyceum.yaml:1", []string{}, "default"},
		{"empty sections", "log:\nhttp: {}\n", nil, nil, "info", "default", []string{}, "default"},
		{"empty file", "# nothing\n", nil, nil, "info", "default", []string{}, "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(dev(t, tt.yaml, tt.env, tt.flags))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Origin("log.level").String(); c.Log.Level != tt.level || !strings.HasSuffix(got, tt.levelFrom) {
				t.Errorf("log.level %q from %s, want %q from %s", c.Log.Level, got, tt.level, tt.levelFrom)
			}
			if got := c.Origin("http.allowed_hosts[0]").String(); !reflect.DeepEqual(c.HTTP.AllowedHosts, tt.hosts) || !strings.HasSuffix(got, tt.hostOrigin) {
				t.Errorf("http.allowed_hosts %q from %s, want %q from %s", c.HTTP.AllowedHosts, got, tt.hosts, tt.hostOrigin)
			}
			if got := c.Origin("dev").String(); !c.Dev || got != "flag --dev" {
				t.Errorf("dev %v from %s", c.Dev, got)
			}
		})
	}
}

func TestIssuersFromText(t *testing.T) {
	const a, b = `{"issuer":"https://a.example","audience":"x"}`, `{issuer: https://b.example, audience: "y", algorithms: ES256}`
	tests := []struct {
		name  string
		env   map[string]string
		flags map[string][]string
		want  string
	}{
		{"JSON list in env", map[string]string{"LYCEUM_AUTH_ISSUERS": "[" + a + "," + b + "]"}, nil, "https://a.example https://b.example"},
		{"one in a flag", nil, map[string][]string{"auth-issuers": {b}}, "https://b.example"},
		{"repeated flag", nil, map[string][]string{"auth-issuers": {b, "[" + a + "]"}}, "https://b.example https://a.example"},
		{"none", map[string]string{"LYCEUM_AUTH_ISSUERS": ""}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(dev(t, "", tt.env, tt.flags))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, issuer := range c.Issuers() {
				got = append(got, issuer.Issuer)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("issuers %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFileFromEnvironment(t *testing.T) {
	src := dev(t, "", map[string]string{"LYCEUM_CONFIG": file(t, "log: {level: warn}")}, nil)
	c, err := Load(src)
	if err != nil || c.Log.Level != "warn" {
		t.Errorf("LYCEUM_CONFIG was not read: %v", err)
	}
	src.File = file(t, "log: {level: error}")
	if c, err = Load(src); err != nil || c.Log.Level != "error" {
		t.Errorf("File does not beat LYCEUM_CONFIG: %v", err)
	}
}

// TestForeignVariables: what belongs to others is no mistake of ours.
func TestForeignVariables(t *testing.T) {
	env := map[string]string{
		"LYCEUM_SERVICE_HOST": "10.1.2.3", "LYCEUM_SERVICE_PORT": "8383", "LYCEUM_SERVICE_PORT_HTTP": "8383",
		"LYCEUM_PORT": "tcp://10.1.2.3:8383", "LYCEUM_PORT_8383_TCP": "tcp://10.1.2.3:8383", "LYCEUM_PORT_8383_TCP_ADDR": "10.1.2.3",
		"LYCEUM_TOKEN": "t", "PATH": "/bin", "LYCEUMISH": "x",
	}
	src := dev(t, "", env, nil)
	src.Ignore = []string{"LYCEUM_TOKEN"}
	if _, err := Load(src); err != nil {
		t.Errorf("refused: %v", err)
	}
	src.Ignore = nil
	if _, err := Load(src); err == nil || !strings.Contains(err.Error(), "LYCEUM_TOKEN: no such setting") {
		t.Errorf("error %v, want one about LYCEUM_TOKEN", err)
	}
}

// TestLocal: a stdio host needs no issuer and no address.
func TestLocal(t *testing.T) {
	src := Source{Local: true, Flags: map[string][]string{"addr": {":8383"}}}
	if _, err := Load(src); err != nil {
		t.Errorf("refused: %v", err)
	}
	src.Local = false
	if _, err := Load(src); err == nil {
		t.Error("a listener without issuers was accepted")
	}
	src = Source{Local: true, Flags: map[string][]string{"sessions-idle-ttl": {"48h"}}}
	if _, err := Load(src); err == nil {
		t.Error("an idle time above the life time was accepted")
	}
}

func TestValidate(t *testing.T) {
	c := Default()
	c.Dev = true
	c.Work.Quantum = 0
	c.HTTP.AllowedOrigins = []string{"*"}
	c.Sessions.MaxPerOwner = c.Sessions.MaxPerTenant + 1
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`work.quantum: "0s" is below 100us`,
		`http.allowed_origins[0]: "*" is not in the right form`,
		`sessions.max_per_owner: "20001" is above sessions.max_per_tenant, which is 20000`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

// bad is a configuration with mistakes; testdata/bad/NAME.txt has what is said
// about them.
var bad = []struct {
	name   string
	yaml   string
	env    map[string]string
	flags  map[string][]string
	noDev  bool
	absent bool // name a file that is not there
}{
	{name: "many", yaml: `
addr: 8383
sesions:
  idle_ttl: 1h
sessions:
  idle_ttl: 5x
  max_ttl: 3600
  max_per_owner: 0
  max_totl: 10
http:
  max_body_bytes: 1TB
  keepalive: 1h
  allowed_hosts: ["*.example.com", ok.example.com]
  allowed_origins: [https://a.example/path]
  trusted_proxies: [10.0.0.0/99]
log: {level: verbose}
tools: 7
telemetry:
  sample_ratio: 2
  metrics: maybe
idle_ttl: 1h
`, env: map[string]string{"LYCEUM_WORK_TICKETS": "two", "LYCEUM_WORK_QUANTUMS": "1ms", "LYCEUM_DRAIN_TIMEOUT": ""}, flags: map[string][]string{"work-max-wait": {"1ms"}, "admin-address": {":1"}}},
	{name: "syntax", yaml: "addr: 127.0.0.1:0\nlog:\n\tlevel: info\n"},
	{name: "not-settings", yaml: "- addr\n- dev\n"},
	{name: "two-documents", yaml: "dev: true\n---\ndev: false\n"},
	{name: "twice", yaml: "log:\n  level: info\n  level: warn\nlog.format: text\nlog:\n  format: json\n"},
	{name: "no-value", yaml: "addr:\nlog:\n  level: ~\n"},
	{name: "shapes", yaml: "addr: [a, b]\nlog:\n  level: {a: b}\nhttp:\n  allowed_hosts: {a: b}\n  allowed_origins: [[a]]\nauth:\n  issuers: [a, [b]]\n"},
	{name: "aliases", yaml: "addr: &a 127.0.0.1:1\nadmin:\n  addr: *a\n"},
	{name: "issuers", yaml: `
auth:
  issuers:
    - issuer: http://a.example
      audiense: x
    - audience: "two words"
      algorithms: [HS256, RS256, none]
      typ: id
    - issuer: ""
      audience: x
    - {issuer: https://b.example, issuer: https://c.example, audience: x}
`},
	{name: "issuer-null", yaml: "auth:\n  issuers:\n    - issuer: https://b.example\n      audience: x\n      tenant: ~\n"},
	{name: "issuer-rules", noDev: true, yaml: `
oidc_issuer: https://a.example
oidc_audience: x
auth:
  issuers:
    - {issuer: https://a.example, audience: z}
    - {issuer: https://b.example, audience: y, tenant: t, tenant_claim: org}
`},
	{name: "bad-inline", env: map[string]string{"LYCEUM_AUTH_ISSUERS": "{"}, flags: map[string][]string{"auth-issuers": {"[", "{issuer: https://a.example}"}}},
	{name: "auth", noDev: true, yaml: `
oidc_audience: x
auth:
  issuers:
    - {issuer: https://a.example, tenants: [t]}
  introspection:
    - {issuer: https://b.example, endpoint: https://b.example/i, client_id: me, tenants: [t]}
  tokens:
    - {hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", tenant: t, subject: a}
    - {hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", tenant: t, subject: b}
  deny:
    - {issuer: https://a.example}
    - {issuer: https://a.example, sub: a, jti: b}
    - {issuer: https://a.example, jti: b, issued_before: 2027-01-31T12:00:00Z}
`},
	{name: "nobody", noDev: true},
	{name: "no-audience", noDev: true, flags: map[string][]string{"oidc-issuer": {"https://a.example"}}},
	{name: "dev-in-public", flags: map[string][]string{"addr": {":8383"}}},
	{name: "in-the-clear", noDev: true, flags: map[string][]string{"addr": {"0.0.0.0:80"}, "oidc-issuer": {"https://a.example"}, "public-url": {"http://lyceum.example"}}},
	{name: "proxied-in-the-clear", noDev: true, flags: map[string][]string{
		"addr": {"0.0.0.0:80"}, "oidc-issuer": {"https://a.example"}, "public-url": {"http://lyceum.example"}, "http-trusted-proxies": {"10.0.0.0/8"},
	}},
	{name: "admin-in-the-clear", noDev: true, flags: map[string][]string{"admin-addr": {"10.0.0.1:9090"}, "oidc-issuer": {"https://a.example"}, "public-url": {"https://lyceum.example"}}},
	{name: "tls", yaml: "tls: {cert_file: a.pem}\npublic_url: http://127.0.0.1:8383\n"},
	{name: "client-certificates", yaml: "tls: {client_ca_file: a.pem, key_file: b.key, client_auth: sometimes}\n"},
	{name: "alerts", yaml: `
alerts:
  interval: 1ms
  webhook_url: https://user@receiver.example
  webhook_secret: short
  webhook_secret_file: /etc/lyceum/webhook.key
  rules:
    - {rule: LyceumQueueWait, above: 0.5}
    - {rule: LyceumQueueWait}
    - {rule: Nothing}
`},
	{name: "alerts-unsigned", yaml: "alerts:\n  webhook_url: https://receiver.example\n"},
	{name: "policy", yaml: `
policy:
  tenants:
    - {tenant: acme, allow: [mcts, serch], deny: [clear_thought]}
    - {tenant: acme, max_millis: -1}
`},
	{name: "policy-guards", yaml: `
policy:
  tenants:
    - {tenant: acme, deny: [mtcs, session_delete]}
    - {tenant: acme}
  guards:
    - {name: twice, when: operation == "mcts"}
    - {name: twice, when: "operation == nobody"}
    - name: typed
      when: >-
        family == "search" &&
        params.n + 1
    - {name: allowing, when: "true"}
`},
	{name: "guard-effect", yaml: "policy: {guards: [{name: a, when: 'true', effect: allow}, {name: b}]}\n"},
	{name: "clear-public-url", noDev: true, flags: map[string][]string{"oidc-issuer": {"https://a.example"}, "public-url": {"http://lyceum.example"}}},
	{name: "url-with-password", flags: map[string][]string{"public-url": {"https://me:secret@lyceum.example"}}},
	{name: "caps", yaml: "sessions: {max_per_owner: 9, max_per_tenant: 8, max_total: 7, idle_ttl: 2h, max_ttl: 1h}\nwork: {max_queued: 5, max_queued_per_tenant: 6, call_timeout: 1s}\nhttp: {trusted_proxies: [0.0.0.0/0]}\nadmin: {addr: \"127.0.0.1:8383\"}\n"},
	{name: "absent", absent: true},
	{name: "long-value", env: map[string]string{"LYCEUM_ADDR": strings.Repeat("x", 5000)}},
}

func TestBad(t *testing.T) {
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			src := dev(t, tt.yaml, tt.env, tt.flags)
			if tt.noDev {
				delete(src.Flags, "dev")
			}
			if tt.absent {
				src.File = filepath.Join(t.TempDir(), "lyceum.yaml")
			}
			c, err := Load(src)
			if err == nil || c != nil {
				t.Fatalf("accepted: %+v", c)
			}
			text := strings.ReplaceAll(err.Error(), filepath.Dir(src.File)+"/", "")
			golden(t, filepath.Join("bad", tt.name+".txt"), text+"\n")
			problems, ok := errors.AsType[Problems](err)
			if !ok {
				t.Fatalf("the error is a %T", err)
			}
			for _, p := range problems {
				if p.Path == "" || p.Reason == "" || p.mend() == "" {
					t.Errorf("incomplete problem %+v", p)
				}
			}
		})
	}
}

func TestLargeFile(t *testing.T) {
	path := file(t, "# "+strings.Repeat("x", maxFile)+"\n")
	if _, err := Load(Source{File: path, Local: true}); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("error %v", err)
	}
}

// FuzzFile: whatever the file holds, the loader answers; what it accepts it can
// print and read again, and what it refuses it explains.
func FuzzFile(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	for _, b := range bad {
		f.Add(b.yaml)
	}
	for _, s := range []string{"a: &a [*a]", "<<: {addr: x}", "? [a]\n: b", "!!binary x: y", "addr: !!int 5", "log: !x {level: info}", "auth: {issuers: [{issuer: {}}]}", "\x00", "{", "auth.issuers[0]: x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := parseFile("fuzz.yaml", []byte(text), settings)
		var c Config
		target := reflect.ValueOf(&c).Elem()
		c.origins, l.problems = settings.merge([]layer{settings.defaults(), l}, target)
		for _, p := range append(l.problems, c.check(true, nil)...) {
			if p.Reason == "" || p.String() == "" {
				t.Errorf("a problem without reason: %+v", p)
			}
		}
		if len(l.problems) > 0 {
			return
		}
		var out strings.Builder
		if err := c.Print(&out); err != nil {
			t.Fatal(err)
		}
		var again Config
		reread := parseFile("again.yaml", []byte(out.String()), settings)
		if _, wrong := settings.merge([]layer{settings.defaults(), reread}, reflect.ValueOf(&again).Elem()); len(wrong) > 0 {
			t.Fatalf("printed\n%s\nis refused: %v", out.String(), wrong)
		}
		c.origins = nil
		if !reflect.DeepEqual(c, again) {
			t.Errorf("printed and read again: %+v, want %+v", again, c)
		}
	})
}
