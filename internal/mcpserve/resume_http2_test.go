package mcpserve

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Over HTTP/2 a takeover resets the one stream that was left, and leaves the others of
// its connection alone.
func TestResumeOverHTTP2(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	h2 := httptest.NewUnstartedServer(guarded(t, scoped(w.server)))
	h2.EnableHTTP2 = true
	h2.StartTLS()
	defer h2.Close()
	send := func(method, body, last string) *link {
		req, err := http.NewRequestWithContext(t.Context(), method, h2.URL+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{
			"Authorization": "Bearer alice", "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			headerSession: p.session, headerVersion: p.rev, headerLastEvent: last,
		} {
			if v != "" {
				req.Header.Set(k, v)
			}
		}
		resp, err := h2.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
			t.Fatalf("%s %d", resp.Proto, resp.StatusCode)
		}
		return &link{t: t, resp: resp, lines: bufio.NewReader(resp.Body), status: resp.StatusCode}
	}
	beside := send("GET", "", "")
	if e, more := beside.next(); !more || e.id == "" {
		t.Fatalf("%+v", e)
	}
	l := p.listener()
	c := send("POST", talkBody("7", `{"who":"a","gate":true}`), "")
	l.read(c, 3)
	again := send("GET", "", l.last)
	if e, more := c.next(); more {
		t.Errorf("the stream that was left: %+v", e)
	}
	close(gate)
	l.read(again, allOfIt)
	l.whole("7", "a", 4, false)
	if a := send("POST", talkBody("8", `{"who":"b"}`), ""); !p.listener().read(a, allOfIt) {
		t.Error("the connection is broken")
	}
	w.server.Drain(t.Context())
	if e, more := beside.next(); !more || e.retry == "" {
		t.Errorf("the stream beside it: %+v", e)
	}
}

// A stream that is resumed ends with the token of who resumes it, and its call goes on.
func TestResumeEndsWithTheToken(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	const life = 300 * time.Millisecond
	short := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		who := principalOf("alice")
		who.Expires = time.Now().Add(life)
		ctx := client.NewContext(identity.NewContext(r.Context(), who), &client.Context{Transport: client.HTTP, Started: time.Now(), Principal: who})
		w.server.ServeHTTP(rw, r.WithContext(ctx))
	}))
	defer short.Close()
	l := p.listener()
	c := p.dial("POST", talkBody("7", `{"who":"a","gate":true}`), "")
	l.read(c, 2)
	c.cut()
	long := w.http
	w.http = short
	began := time.Now()
	expiring := p.dial("GET", "", l.last)
	w.http = long
	if l.read(expiring, allOfIt); time.Since(began) < life {
		t.Errorf("it ended after %v", time.Since(began))
	}
	again := p.dial("GET", "", l.last)
	close(gate)
	l.read(again, allOfIt)
	l.whole("7", "a", 4, false)
}
