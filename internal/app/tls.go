package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
)

// lookEvery is the least time between two looks at the certificate files.
const lookEvery = time.Second

// certificates are what the listeners prove themselves with, and whom they ask for
// proof. They are read again when their files change, which is looked at when a
// client connects: connections that are open, or in their handshake, go on with
// what they began with.
type certificates struct {
	log     *slog.Logger
	current atomic.Pointer[tls.Config]
	looked  atomic.Int64 // when the files were looked at, in nanoseconds of the clock

	mu    sync.Mutex
	files config.TLS
	seen  [3]fileMark // of files when they were read last, whether or not that went well
}

// fileMark tells whether a file has changed; the zero fileMark is of one that
// cannot be looked at.
type fileMark struct {
	modified time.Time
	size     int64
}

func markOf(path string) fileMark {
	if path == "" {
		return fileMark{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{}
	}
	return fileMark{info.ModTime(), info.Size()}
}

func marksOf(t config.TLS) [3]fileMark {
	return [3]fileMark{markOf(t.CertFile), markOf(t.KeyFile), markOf(t.ClientCAFile)}
}

// openCertificates reads the files for the first time.
func openCertificates(files config.TLS, log *slog.Logger) (*certificates, error) {
	c := &certificates{log: log}
	next, err := readCertificates(files)
	if err != nil {
		return nil, err
	}
	c.replace(next)
	return c, nil
}

// readTLS is what was read from the files of one configuration.
type readTLS struct {
	files config.TLS
	seen  [3]fileMark
	conf  *tls.Config
}

// readCertificates reads the files. The marks are taken before, so that a change
// while it reads is found later.
func readCertificates(files config.TLS) (readTLS, error) {
	r := readTLS{files: files, seen: marksOf(files)}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return r, fmt.Errorf("tls: read the certificate %s with its key: %w", files.CertFile, err)
	}
	r.conf = &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if files.ClientCAFile == "" {
		return r, nil
	}
	pem, err := os.ReadFile(files.ClientCAFile)
	if err != nil {
		return r, fmt.Errorf("tls: read the authorities of clients: %w", err)
	}
	r.conf.ClientCAs = x509.NewCertPool()
	if !r.conf.ClientCAs.AppendCertsFromPEM(pem) {
		return r, fmt.Errorf("tls: %s has no certificate in PEM", files.ClientCAFile)
	}
	r.conf.ClientAuth = tls.RequireAndVerifyClientCert
	if files.ClientAuth == "optional" {
		r.conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return r, nil
}

// replace uses next for every connection from now on.
func (c *certificates) replace(next readTLS) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaceLocked(next)
}

func (c *certificates) replaceLocked(next readTLS) {
	c.files, c.seen = next.files, next.seen
	c.current.Store(next.conf)
}

// server is the configuration of a listener.
func (c *certificates) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c.look(hello.Context())
			return c.current.Load(), nil
		},
	}
}

// look reads the files again if they have changed. Those that cannot be used, such
// as a certificate whose key is still to come, change nothing until they change
// again.
func (c *certificates) look(ctx context.Context) {
	now, last := time.Now().UnixNano(), c.looked.Load()
	if now-last < int64(lookEvery) || !c.looked.CompareAndSwap(last, now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == marksOf(c.files) {
		return
	}
	next, err := readCertificates(c.files)
	if err != nil {
		c.seen = next.seen
		c.log.ErrorContext(ctx, "the changed certificate cannot be used: the one before it goes on", "error", err)
		return
	}
	c.replaceLocked(next)
	c.log.InfoContext(ctx, "the certificate was read again", "file", c.files.CertFile)
}
