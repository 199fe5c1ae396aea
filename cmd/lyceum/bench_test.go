package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/load"
)

// target is a server that answers every call and remembers who called what.
type target struct {
	mu    sync.Mutex
	calls map[string]int // by token and operation
}

func (s *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Params struct {
			Arguments struct {
				Operation string `json:"operation"`
			} `json:"arguments"`
		} `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	if op := m.Params.Arguments.Operation; op != "" {
		s.mu.Lock()
		s.calls[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+" "+op]++
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
}

// bench runs "lyceum bench" in this process.
func bench(ctx context.Context, args ...string) (stdout string, err error) {
	var out, errOut bytes.Buffer
	err = run(ctx, append([]string{"bench"}, args...), process{
		env: func(string) (string, bool) { return "", false }, stdin: strings.NewReader(""), stdout: &out, stderr: &errOut,
	})
	return out.String(), err
}

func newTarget(t *testing.T) (*target, string) {
	s := &target{calls: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(func() { srv.Close(); goleak.VerifyNone(t) })
	return s, srv.URL + "/mcp"
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBenchPrintsAReport(t *testing.T) {
	s, url := newTarget(t)
	tokenFile := write(t, "tokens", "t1\nt2\n")
	callFile := write(t, "own.json", `{"operation":"own"}`)
	out, err := bench(t.Context(), "--url", url, "--token", "@"+tokenFile, "--call", "mine=@"+callFile, "--call", `other={"operation":"other"}`,
		"--mix", "mine=2,other=1,light=1", "--connections", "2", "--warmup", "0s", "--duration", "10s", "--max-calls", "400", "--json",
		"--min-rate", "0.1", "--max-errors", "0%", "--max-p99", "all=10s")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r load.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r.Schema != load.Schema || r.EndedBy != "max_calls" || r.Phases[0].Total.Due != 400 || len(r.Checks) != 3 {
		t.Errorf("report %s", out)
	}
	total := 0
	for _, who := range []string{"t1", "t2"} {
		for _, op := range []string{"own", "other", "sequential_thinking"} {
			n := s.calls[who+" "+op]
			if total += n; n == 0 {
				t.Errorf("%s never called %s: %v", who, op, s.calls)
			}
		}
	}
	if total != 400 || len(s.calls) != 6 {
		t.Errorf("the server saw %v", s.calls)
	}

	out, err = bench(t.Context(), "--url", url, "--era", "2026-07-28", "--group", "quiet:token=q,connections=1,rate=50", "--group", "noisy:token=n,connections=2,mix=describe",
		"--fairness", "--warmup", "0s", "--duration", "200ms", "--arrivals", "poisson", "--seed", "7")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"alone: measured for 0.2 s", "beside: measured", "quiet beside the others, against alone: p50 ×"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if s.calls["q sequential_thinking"] == 0 || s.calls["n describe"] == 0 {
		t.Errorf("the server saw %v", s.calls)
	}
}

func TestBenchFailsWhenACheckDoes(t *testing.T) {
	_, url := newTarget(t)
	for _, check := range [][]string{{"--max-p99", "1ns"}, {"--min-rate", "1e9"}, {"--max-p99", "10s", "--min-rate", "all=1e9"}} {
		out, err := bench(t.Context(), append([]string{"--url", url, "--warmup", "0s", "--max-calls", "20"}, check...)...)
		if !errors.Is(err, errSaid) || !strings.Contains(out, "FAILED: ") {
			t.Errorf("%v: %v\n%s", check, err, out)
		}
	}
	// An interrupted run prints what it has; one without any answer has nothing to be glad of.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	out, err := bench(ctx, "--url", url, "--warmup", "0s", "--duration", "10m", "--rate", "100")
	if err != nil || !strings.Contains(out, "the run ended early: interrupt") {
		t.Errorf("%v\n%s", err, out)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	out, err = bench(ctx, "--url", url, "--warmup", "10m", "--rate", "100")
	if !errors.Is(err, errSaid) || !strings.Contains(out, "the run ended early: interrupt") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBenchRefusesWhatItCannotDo(t *testing.T) {
	_, url := newTarget(t)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"another machine":  {[]string{"--url", "http://192.0.2.1/mcp"}, "--allow-remote"},
		"era":              {[]string{"--era", "2024-11-05"}, "--era"},
		"mix":              {[]string{"--mix", "nothing"}, `no call "nothing"`},
		"group":            {[]string{"--group", "Quiet"}, "group"},
		"group mix":        {[]string{"--group", "quiet:mix=nothing"}, `no call "nothing"`},
		"check":            {[]string{"--max-p99", "fast"}, "max-p99"},
		"ratio":            {[]string{"--max-ratio", "2"}, "fairness"},
		"call":             {[]string{"--call", "mine"}, "NAME=JSON"},
		"call of builtin":  {[]string{"--call", "light={}"}, "already"},
		"call file":        {[]string{"--call", "mine=@" + filepath.Join(t.TempDir(), "none")}, "no such file"},
		"token file":       {[]string{"--token", "@" + filepath.Join(t.TempDir(), "none")}, "no such file"},
		"empty token file": {[]string{"--group", "a:token=@" + write(t, "empty", "\n")}, "no token"},
		"too long":         {[]string{"--duration", "2h"}, "up to 1h"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := bench(t.Context(), append([]string{"--url", url}, tt.args...)...)
			if out != "" && !strings.HasPrefix(out, "Usage") || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want one with %q\n%s", err, tt.want, out)
			}
		})
	}
	// Explicitly allowed, only the network is in the way.
	_, err := bench(t.Context(), "--url", "http://192.0.2.1/mcp", "--allow-remote", "--timeout", "0s", "--max-calls=-1")
	if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "loopback") {
		t.Errorf("%v, want only the limit of calls to be wrong", err)
	}
}
