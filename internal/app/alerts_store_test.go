package app

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/middleware"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
	"github.com/lyceum-mcp/lyceum/session/memstore"
)

// TestOutboxInStores: every store gives back what was saved last, also after it was
// opened again, and never lets it expire.
func TestOutboxInStores(t *testing.T) {
	dir := t.TempDir()
	file := func() session.Store {
		s, err := filestore.Open(t.Context(), filestore.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	memory := memstore.New()
	for name, open := range map[string]func() session.Store{"file": file, "memory": func() session.Store { return memory }} {
		s := open()
		if data, err := (outbox{s}).Load(t.Context()); data != nil || err != nil {
			t.Errorf("%s: of nothing %q, %v", name, data, err)
		}
		for _, text := range []string{"one", strings.Repeat("two", 100_000)} {
			if err := (outbox{s}).Save(t.Context(), []byte(text)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if _, expired, err := s.Expired(t.Context(), time.Now().Add(10*365*24*time.Hour), 10); err != nil || len(expired) != 0 {
			t.Errorf("%s: it expires: %v, %v", name, expired, err)
		}
		if name == "file" {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		}
		if data, err := (outbox{s}).Load(t.Context()); len(data) != 300_000 || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	file := filepath.Join(t.TempDir(), "memory.max")
	for _, tt := range []struct {
		soft int64
		hard string
		want uint64
	}{
		{1 << 62, "max\n", 0},
		{1 << 62, "", 0},
		{1 << 62, "1073741824\n", 1 << 30},
		{1 << 29, "1073741824\n", 1 << 29},
		{1 << 31, "1073741824\n", 1 << 30},
		{1 << 30, "max\n", 1 << 30},
		{1 << 30, "0\n", 1 << 30},
	} {
		debug.SetMemoryLimit(tt.soft)
		if err := os.WriteFile(file, []byte(tt.hard), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit(file); got != tt.want {
			t.Errorf("soft %d, hard %q: %d, want %d", tt.soft, tt.hard, got, tt.want)
		}
	}
	debug.SetMemoryLimit(before)
	if got := memoryLimit(filepath.Join(t.TempDir(), "nothing")); before >= 1<<62 && got != 0 {
		t.Errorf("without a file: %d", got)
	}
	if used := memoryUsed(); used < 1<<20 || used > 1<<40 {
		t.Errorf("%d bytes used", used)
	}
}

func TestWebhookSecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "webhook.key")
	for text, want := range map[string]int{
		"0123456789abcdef\n\n whsec_MDEyMzQ1Njc4OWFiY2RlZg== \n": 2, "0123456789abcdef": 1, "": 0, "short\n": 0, strings.Repeat("x", maxSecretFile+1): 0,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hook, err := webhook(config.Alerts{WebhookURL: "https://receiver.example", WebhookSecretFile: file})
		if (err == nil) != (want > 0) || err == nil && len(hook.Secrets) != want {
			t.Errorf("%.40q: %+v, %v", text, hook, err)
		}
		if err != nil && strings.Contains(err.Error(), "0123456789") {
			t.Errorf("the error has the secret: %v", err)
		}
	}
	if _, err := webhook(config.Alerts{WebhookSecretFile: file + ".none"}); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestDrained(t *testing.T) {
	cfg := config.Default()
	w := &alerts{app: &App{cfg: cfg}}
	at := time.Now()
	if got := w.drained(false, at); got != 0 {
		t.Errorf("%v of a server that serves", got)
	}
	if first, half := w.drained(true, at), w.drained(true, at.Add(cfg.Drain.Timeout/2)); first != 0 || half != 0.5 {
		t.Errorf("%v and %v", first, half)
	}
	cfg.Drain.Timeout = 0
	if got := w.drained(true, at.Add(time.Hour)); got != 0 {
		t.Errorf("%v without a time to drain", got)
	}
}

// TestOutages: only requests that nobody could judge are counted, and a server
// that is not watched counts nothing.
func TestOutages(t *testing.T) {
	w := new(alerts)
	for _, status := range []int{http.StatusUnauthorized, http.StatusServiceUnavailable, http.StatusBadRequest, http.StatusServiceUnavailable} {
		w.refusal(middleware.Refusal{Status: status})
		(*alerts)(nil).refusal(middleware.Refusal{Status: status})
	}
	if n := w.outages.Load(); n != 2 {
		t.Errorf("%d outages, want 2", n)
	}
	if (*alerts)(nil).snapshot() != nil {
		t.Error("nobody watches, and there is a picture")
	}
}
