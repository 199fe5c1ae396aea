package middleware

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestBodyDeclaredTooLong(t *testing.T) {
	r := httptest.NewRequest("POST", "/mcp", strings.NewReader("0123456789A"))
	w := serve(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }, r, Body(10, time.Minute))
	if w.Code != 413 || w.Header().Get("Connection") != "close" || !strings.Contains(w.Body.String(), "the body has 11 bytes; the limit is 10") {
		t.Errorf("answer %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestBodyUpToTheLimit(t *testing.T) {
	for _, declared := range []bool{true, false} {
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader("0123456789"))
		if !declared {
			r.ContentLength = -1
		}
		serve(func(_ http.ResponseWriter, r *http.Request) {
			if b, err := io.ReadAll(r.Body); err != nil || string(b) != "0123456789" {
				t.Errorf("declared %v: read %q, %v", declared, b, err)
			}
		}, r,

			Body(10, time.Minute))

	}
}

// A length that was not declared is found out while reading; the handler then
// answers 413.
func TestBodyUndeclaredTooLong(t *testing.T) {
	srv := httptest.NewServer(RequestID(remoteOf)(Body(10, time.Minute)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if tooLong, found := errors.AsType[*http.MaxBytesError](err); !found || tooLong.Limit != 10 {
			t.Errorf("reading failed with %v, want the limit of 10", err)
		}
		fail(w, r, fault.Wrap(fault.TooLarge, err, "too long"))
	}))))
	defer srv.Close()
	body := io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("A")) // a reader of unknown length: chunked
	resp, err := srv.Client().Post(srv.URL, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("status %d, want 413", resp.StatusCode)
	}
}

func TestSlowBodyFailsItsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		dial := serveOnPipe(t, Body(100, 5*time.Second)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			_, err := io.ReadAll(r.Body)
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("gave up after %v, want 5s", took)
			}
			failed <- err
			w.WriteHeader(http.StatusRequestTimeout)
		})))
		c := dial()
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading failed with %v, want the deadline", err)
		}
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("response %v, %v", resp, err)
		}
	})
}

// A deadline that outlived the body would look like a client that went away
// and cancel a long call.
func TestBodyDeadlineEndsWithTheBody(t *testing.T) {
	for _, c := range []struct {
		name, head, body string
		read             func(io.ReadCloser) error
	}{
		{"at its end", "Content-Length: 5", "01234", func(b io.ReadCloser) error { _, err := io.ReadAll(b); return err }},
		{"chunked", "Transfer-Encoding: chunked", "5\r\n01234\r\n0\r\n\r\n", func(b io.ReadCloser) error { _, err := io.ReadAll(b); return err }},
		{"closed", "Content-Length: 5", "01234", func(b io.ReadCloser) error {
			if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
				return err
			}
			return b.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial := serveOnPipe(t, Body(100, 5*time.Second)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := c.read(r.Body); err != nil {
						t.Error(err)
					}
					select {
					case <-r.Context().Done():
						t.Error("the request was canceled")
					case <-time.After(time.Hour):
					}
					ok(w, r)
				})))
				conn := dial()
				answers := bufio.NewReader(conn)
				for range 2 { // the connection stays good for another
					fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s", c.head, c.body)
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatal(err)
					}
					if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "ok" {
						t.Errorf("answer %q, %v", b, err)
					}
				}
			})
		})
	}
}

// A client that stalls in a body nobody wants does not hold the answer back for
// longer than a body may take: the server reads what is left of it first.
func TestStalledBodyIsNotWaitedForByTheServer(t *testing.T) {
	for name, limit := range map[string]int64{"refused unread": 100, "refused by its length": 5} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				dial := serveOnPipe(t, RequestID(remoteOf)(Body(limit, 5*time.Second)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fail(w, r, fault.Newf(fault.TooLarge, "no"))
				}))))
				c := dial()
				fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || time.Since(start) > 5*time.Second {
					t.Errorf("response %v, %v after %v", resp, err, time.Since(start))
				}
			})
		})
	}
}

// A body that is compressed is refused before anybody reads it: nothing here could
// become larger than it came.
func TestBodyIsNotDecompressed(t *testing.T) {
	for coding, status := range map[string]int{"": 200, "identity": 200, "Identity , identity": 200, "gzip": 415, "identity, br": 415, "x": 415} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
		if coding != "" {
			r.Header.Set("Content-Encoding", coding)
		}
		w := serve(ok, r, Body(1<<10, 0))
		if w.Code != status || (status == 415) != (w.Header().Get("Accept-Encoding") == "identity") {
			t.Errorf("%q: %d %v, want %d", coding, w.Code, w.Header(), status)
		}
	}
}
