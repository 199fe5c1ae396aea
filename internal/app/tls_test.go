package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.make(template, nil)
	a.pool.AddCert(a.cert)
	return a
}

// make signs template, with its own key if there is no parent.
func (a *authority) make(template, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue makes a certificate for name and 127.0.0.1.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key := a.make(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// write puts a new certificate for name into the files of c.
func (a *authority) write(c config.TLS, name string) {
	a.t.Helper()
	pair := a.issue(name)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	a.file(c.CertFile, "CERTIFICATE", pair.Certificate[0])
	a.file(c.KeyFile, "PRIVATE KEY", key)
}

func (a *authority) file(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// files are where a server of its own finds its certificate.
func (a *authority) files(name string) config.TLS {
	a.t.Helper()
	dir := a.t.TempDir()
	c := config.TLS{CertFile: filepath.Join(dir, "tls.pem"), KeyFile: filepath.Join(dir, "tls.key"), ClientAuth: "required"}
	a.write(c, name)
	return c
}

// client is a client of its own, with its own connections.
func (a *authority) client(certs ...tls.Certificate) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool, Certificates: certs}, ForceAttemptHTTP2: true}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// dialH2 opens a connection that has agreed on HTTP/2.
func (a *authority) dialH2(addr string) net.Conn {
	a.t.Helper()
	d := &tls.Dialer{Config: &tls.Config{RootCAs: a.pool, NextProtos: []string{"h2"}}}
	c, err := d.DialContext(a.t.Context(), "tcp", addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// startTLS starts a server with TLS and returns its settings too.
func startTLS(t *testing.T, a *authority, files config.TLS) (*site, *config.Config) {
	t.Helper()
	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data, cfg.TLS = true, "127.0.0.1:0", t.TempDir(), files
	cfg.Admin.Addr = "127.0.0.1:0"
	s := startWith(t, cfg, app.Options{})
	s.http.CloseIdleConnections()
	s.http = a.client()
	return s, cfg
}

// served asks for /healthz and returns the name in the certificate that answered,
// and the revision of HTTP.
func served(t *testing.T, c *http.Client, url string) (name string, major int) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	return resp.TLS.PeerCertificates[0].Subject.CommonName, resp.ProtoMajor
}

// Both listeners speak TLS 1.2 or later and HTTP/2, and a whole call passes.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	s, _ := startTLS(t, a, a.files("first"))
	for _, url := range []string{s.app.URL() + "/healthz", strings.TrimSuffix(s.app.AdminURL(), "/admin/") + "/healthz"} {
		if name, major := served(t, s.http, url); name != "first" || major != 2 || !strings.HasPrefix(url, "https://") {
			t.Errorf("%s: certificate of %s, HTTP/%d", url, name, major)
		}
	}
	if e, resp := s.user("alice").call("1", `{"operation":"sequential_thinking","prompt":"x"}`); e.Error != nil || resp.ProtoMajor != 2 || e.SessionID == "" {
		t.Errorf("%+v over HTTP/%d", e, resp.ProtoMajor)
	}
	old := &tls.Dialer{Config: &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	if c, err := old.DialContext(t.Context(), "tcp", s.app.Addr()); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
	resp, err := http.Get("http://" + s.app.Addr() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d", resp.StatusCode)
	}
}

// SIGHUP, which is Reload, takes a new certificate for new connections; open ones
// go on, and files that cannot be used change nothing.
func TestTLSReload(t *testing.T) {
	a := newAuthority(t)
	files := a.files("first")
	s, cfg := startTLS(t, a, files)
	url := s.app.URL() + "/healthz"
	served(t, s.http, url) // keeps its connection

	// A handshake in flight: the client has connected and says nothing yet.
	waiting, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.app.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()

	a.write(files, "second")
	if restart, err := s.app.Reload(t.Context(), cfg); err != nil || len(restart) > 0 {
		t.Fatalf("restart %v, %v", restart, err)
	}
	if name, _ := served(t, s.http, url); name != "first" {
		t.Errorf("the open connection has the certificate of %s", name)
	}
	if name, _ := served(t, a.client(), url); name != "second" {
		t.Errorf("a new connection has the certificate of %s", name)
	}
	late := tls.Client(waiting, &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
	if err := late.HandshakeContext(t.Context()); err != nil {
		t.Errorf("the handshake that was waiting: %v", err)
	}

	if err := os.WriteFile(files.KeyFile, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Reload(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "tls: read the certificate") {
		t.Errorf("a broken key was taken over: %v", err)
	}
	if name, _ := served(t, a.client(), url); name != "second" {
		t.Errorf("after a broken key, the certificate of %s", name)
	}
}

// Files that change are found without a signal.
func TestTLSFilesAreWatched(t *testing.T) {
	a := newAuthority(t)
	files := a.files("first")
	s, _ := startTLS(t, a, files)
	url := s.app.URL() + "/healthz"
	served(t, a.client(), url)
	a.write(files, "second")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if name, _ := served(t, a.client(), url); name == "second" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the new certificate is not used")
		}
	}
}

// With client_ca_file a client needs a certificate besides its token; the log has
// its subject, and it is nobody's identity.
func TestClientCertificates(t *testing.T) {
	a, strangers := newAuthority(t), newAuthority(t)
	files := a.files("server")
	files.ClientCAFile = filepath.Join(t.TempDir(), "clients.pem")
	a.file(files.ClientCAFile, "CERTIFICATE", a.cert.Raw)
	s, cfg := startTLS(t, a, files)
	url := s.app.URL() + "/mcp"
	for name, c := range map[string]*http.Client{"none": a.client(), "a stranger's": a.client(strangers.issue("mallory"))} {
		resp, err := c.Get(url)
		if err == nil {
			resp.Body.Close()
			t.Errorf("a client with %s certificate is served: %d", name, resp.StatusCode)
		}
	}
	robot := a.client(a.issue("robot"))
	resp, err := robot.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a certificate without a token: %d", resp.StatusCode)
	}
	s.http = robot
	if e, _ := s.user("alice").call("1", `{"operation":"sequential_thinking","prompt":"x"}`); e.Error != nil {
		t.Errorf("%+v", e.Error)
	}
	if log := s.log.String(); !strings.Contains(log, `"client_certificate":"CN=robot"`) || !strings.Contains(log, `"subject":"alice"`) {
		t.Errorf("the log does not tell who it was: %s", log)
	}
	cfg.TLS.ClientAuth = "optional"
	if _, err := s.app.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if name, _ := served(t, a.client(), s.app.URL()+"/healthz"); name != "server" {
		t.Error(name)
	}
	if resp, err := a.client(strangers.issue("mallory")).Get(url); err == nil {
		resp.Body.Close()
		t.Error("a stranger's certificate is taken for none")
	}
}
