package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// read gets a JSON answer of the REST interface.
func (u *user) read(method, path string, status int, into any) {
	u.site.t.Helper()
	resp, body := u.do(method, path, "")
	if resp.StatusCode != status {
		u.site.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, body)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			u.site.t.Fatalf("%s %s: %v in %s", method, path, err, body)
		}
	}
}

// TestSpansWithoutACollector: a slow and a failed call are kept although no trace
// is, with what their time went to.
func TestSpansWithoutACollector(t *testing.T) {
	s := start(t, []tools.Tool{writer(), breaker()}, func(c *config.Config) { c.Telemetry.SampleRatio, c.Telemetry.SlowAfter = 0, time.Nanosecond })
	u, admin := s.user("alice"), s.admin()
	env := u.modern("write", `"parameters":{"text":"hello"}`, `"traceparent":"00-`+clientTrace+`-`+clientSpan+`-01"`)
	u.modern("break", "", "")

	var slow, failed, recent api.SpanPage
	admin.read("GET", "/api/v1/spans?kind=slow", 200, &slow)
	admin.read("GET", "/api/v1/spans?kind=failed&limit=1", 200, &failed)
	admin.read("GET", "/api/v1/spans", 200, &recent)
	if slow.Total != 2 || len(failed.Spans) != 1 || len(recent.Spans) != 0 {
		t.Fatalf("%d slow, %d failed, %d recent; want 2, 1 and 0", slow.Total, len(failed.Spans), len(recent.Spans))
	}
	if f := failed.Spans[0]; f.Name != "tools/call break" || !f.Failed || f.Error == nil || *f.Error != "internal" || f.Sampled {
		t.Errorf("failed: %+v", f)
	}
	w := slow.Spans[1]
	if w.Trace != clientTrace || w.Attributes["lyceum.session.ref"] != session.ID(env.SessionID).Ref() {
		t.Errorf("slow: %+v, want the client's trace and the session's ref", w)
	}
	var phases []string
	var sum int64
	for _, p := range w.Phases {
		phases = append(phases, p.Name)
		sum += p.DurationUs
		if p.OffsetUs < 0 || p.OffsetUs+p.DurationUs > w.DurationUs+1 {
			t.Errorf("the phase %+v is not within %d µs", p, w.DurationUs)
		}
	}
	if got := strings.Join(phases, " "); got != "policy budget session audit admission tool" || sum > w.DurationUs+6 {
		t.Errorf("phases %s of %d µs in a call of %d µs", got, sum, w.DurationUs)
	}
	admin.read("GET", "/api/v1/spans?kind=all", 400, nil)
	admin.read("GET", "/api/v1/spans?limit=0", 400, nil)
	u.read("GET", "/api/v1/spans", 403, nil)
}

func TestTimeline(t *testing.T) {
	s := start(t, []tools.Tool{writer(), breaker()}, func(c *config.Config) { c.Telemetry.Timelines = 2 })
	u, admin := s.user("alice"), s.admin()
	env := u.modern("write", `"parameters":{"text":"hello"}`, "")
	named := `"sessionId":"` + env.SessionID + `"`
	u.modern("break", named, "")
	path := "/api/v1/sessions/" + session.ID(env.SessionID).Ref() + "/timeline"
	var line api.Timeline
	admin.read("GET", path, 200, &line)
	var got []string
	for _, m := range line.Moments {
		text := []string{m.Kind}
		for _, part := range []*string{m.Operation, m.Outcome} {
			if part != nil {
				text = append(text, *part)
			}
		}
		got = append(got, strings.Join(text, " "))
	}
	if want := "opened, call write ok, call break internal"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", strings.Join(got, ", "), want)
	}
	if m := line.Moments[1]; m.Trace == nil || m.Request == nil || m.DurationUs == nil {
		t.Errorf("%+v lacks what leads further", m)
	}
	for range 100 { // one session's moments are bounded
		u.modern("write", named, "")
	}
	admin.read("GET", path, 200, &line)
	if len(line.Moments) != 64 || *line.Moments[63].Operation != "write" || line.Moments[0].At.After(line.Moments[63].At) {
		t.Errorf("%d moments, want the latest 64 in order", len(line.Moments))
	}
	for range 2 { // and so are sessions
		u.modern("write", "", "")
	}
	admin.read("GET", path, 404, nil)
	admin.read("GET", "/api/v1/sessions/nonsense/timeline", 400, nil)
}

func TestFlightOnRequest(t *testing.T) {
	s := start(t, []tools.Tool{noop("noop", work.Inline)}, func(c *config.Config) { c.Telemetry.Flight, c.Telemetry.FlightAfter = true, 0 })
	admin := s.admin()
	var f api.Flight
	admin.read("POST", "/api/v1/flight", 201, &f)
	if f.Bytes == 0 || !strings.HasPrefix(f.File, "flight-") {
		t.Errorf("%+v", f)
	}
	resp, _ := admin.do("POST", "/api/v1/flight", "")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second one at once: %d", resp.StatusCode)
	}
	(&user{site: s, token: s.token(devidp.TokenRequest{Sub: "r", Scope: "admin.read"})}).read("POST", "/api/v1/flight", 403, nil)
}

func TestFlightOfASlowCall(t *testing.T) {
	var data string
	s := start(t, []tools.Tool{noop("noop", work.Inline)}, func(c *config.Config) {
		data, c.Telemetry.Flight, c.Telemetry.FlightAfter = c.Data, true, time.Nanosecond
	})
	for range 5 {
		s.user("alice").modern("noop", "", "")
	}
	s.stop()
	err := <-s.done
	s.done <- err
	files, _ := filepath.Glob(filepath.Join(data, "flight", "*.trace"))
	if len(files) != 1 {
		t.Fatalf("%v, want one recording: there was no minute", files)
	}
	head := make([]byte, 16)
	in, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Read(head); err != nil || !bytes.HasPrefix(head, []byte("go 1.")) {
		t.Errorf("the file begins with %q, %v", head, err)
	}
}

func TestNoFlightRecorder(t *testing.T) {
	start(t, nil).admin().read("POST", "/api/v1/flight", 404, nil)
}

// TestLogSaysWhoAndWhereButNoSecrets: one record for each request, by which it is
// found again, without what is in it.
func TestLogSaysWhoAndWhereButNoSecrets(t *testing.T) {
	s := start(t, []tools.Tool{writer(), breaker()}, func(c *config.Config) { c.Log.Level = "debug" })
	u := s.user("alice")
	env := u.modern("write", `"parameters":{"text":"s3cr3t"}`, "")
	u.modern("write", `"sessionId":"`+env.SessionID+`","parameters":{"text":"s3cr3t"}`, "")
	u.modern("break", `"sessionId":"`+env.SessionID+`","parameters":{"text":"s3cr3t"}`, "")
	u.modern("write", `"sessionId":"rs_n0tth3r3","prompt":"s3cr3t"`, "")
	u.initialize()
	handle := u.session
	(&user{site: s, token: "n0t.4.t0ken"}).do("GET", "/api/v1/sessions", "")
	const requests = 6
	s.stop() // the last record comes after its answer
	err := <-s.done
	s.done <- err
	n := 0
	for line := range strings.Lines(s.log.String()) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if rec["msg"] != "request" {
			continue
		}
		n++
		for _, key := range []string{"request_id", "trace_id", "span_id", "status", "duration"} {
			if rec[key] == nil {
				t.Errorf("a request's record lacks %s: %s", key, line)
			}
		}
	}
	if n != requests {
		t.Errorf("%d records of %d requests", n, requests)
	}
	for name, secret := range map[string]string{
		"a token": u.token, "a token that is none": "n0t.4.t0ken", "an argument": "s3cr3t", "a handle": env.SessionID, "a transport handle": handle, "a wrong handle": "rs_n0tth3r3",
	} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log has %s in it", name)
		}
	}
}
