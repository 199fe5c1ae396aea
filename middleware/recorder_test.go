package middleware

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/lyceum-mcp/lyceum/internal/policy"
)

// every returns all middlewares of the package, alone and stacked as package
// api stacks them.
func every(t *testing.T) map[string]Middleware {
	tp := sdktrace.NewTracerProvider()
	all := map[string]Middleware{
		"recover": Recover(heard(t)), "trace": Trace(tp), "access log": AccessLog(heard(t)), "secure headers": SecureHeaders(),
		"body": Body(1<<20, time.Minute), "origins": Origins{}.Check(), "address rate": RateByAddress(1000, time.Minute),
		"token rate": RateByToken(1000, time.Minute), "authenticate": Authenticate(verifier, "", nil), "client": Client(),
		"admit": Admit(NewGate(10), MCPClass), "scope": Chain(asPrincipal(alice), RequireScope("", policy.Reason)), "route": Route("POST", "/"),
	}
	all["the whole chain"] = Chain(Recover(heard(t)), Trace(tp), AccessLog(heard(t)), SecureHeaders(), Body(1<<20, time.Minute), Origins{}.Check(),
		RateByAddress(1000, time.Minute), Route("POST", "/"), Authenticate(verifier, "", nil), Client(), RateByToken(1000, time.Minute),
		Admit(NewGate(10), MCPClass), RequireScope("", policy.Reason))
	return all
}

// A stream needs an http.Flusher, found by type assertion or by a controller,
// and the deadlines of the connection. No middleware may hide them.
func TestWritersStayWhole(t *testing.T) {
	for name, m := range every(t) {
		t.Run(name, func(t *testing.T) {
			more := make(chan struct{})
			srv := httptest.NewServer(RequestID(remoteOf)(m(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "first\n")
				f, isFlusher := w.(http.Flusher)
				if !isFlusher {
					t.Errorf("%T is no http.Flusher", w)
					return
				}
				f.Flush()
				<-more
				rc := http.NewResponseController(w)
				for what, err := range map[string]error{
					"flush": rc.Flush(), "read deadline": rc.SetReadDeadline(time.Time{}), "write deadline": rc.SetWriteDeadline(time.Now().Add(time.Minute)),
					"full duplex": rc.EnableFullDuplex(),
				} {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				_, _ = io.WriteString(w, "second\n")
			}))))
			defer srv.Close()
			req, err := http.NewRequestWithContext(within(t), "POST", srv.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer good")
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			if line, err := lines.ReadString('\n'); line != "first\n" {
				t.Fatalf("read %q, %v before the handler went on", line, err)
			}
			close(more)
			if line, err := lines.ReadString('\n'); line != "second\n" {
				t.Errorf("read %q, %v", line, err)
			}
		})
	}
}

func TestRecorderRemembers(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(w http.ResponseWriter)
		status int
		bytes  int64
	}{
		{"nothing", func(http.ResponseWriter) {}, 0, 0},
		{"a write", func(w http.ResponseWriter) { _, _ = w.Write([]byte("abc")); _, _ = w.Write([]byte("de")) }, 200, 5},
		{"a status", func(w http.ResponseWriter) { w.WriteHeader(404) }, 404, 0},
		{"the first status", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 404, 0},
		{"early hints", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(201) }, 201, 0},
		{"a flush", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 200, 0},
		{"a controlled flush", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, 200, 0},
	} {
		rec := record(httptest.NewRecorder())
		c.do(rec)
		if rec.Status() != c.status || rec.bytes != c.bytes {
			t.Errorf("%s: status %d, %d bytes; want %d, %d", c.name, rec.Status(), rec.bytes, c.status, c.bytes)
		}
	}
}

func TestOneRecorderHoweverManyLook(t *testing.T) {
	inner := httptest.NewRecorder()
	first := record(inner)
	if record(first) != first || first.Unwrap() != http.ResponseWriter(inner) {
		t.Error("a recorder was wrapped again")
	}
}
