package reply

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What an event is made of is written as the format has it, and no more than that.
func TestEventLines(t *testing.T) {
	w := httptest.NewRecorder()
	s := NewStream(w, time.Second)
	for _, e := range []Event{
		{Data: []byte("{}")},
		{ID: "a-1", Data: []byte("[]")},
		{ID: "a-0", Retry: 1500 * time.Millisecond},
		{Retry: time.Second},
	} {
		if err := s.SendEvent(e); err != nil {
			t.Fatal(err)
		}
	}
	want := "event: message\ndata: {}\n\n" +
		"id: a-1\nevent: message\ndata: []\n\n" +
		"id: a-0\nretry: 1500\ndata:\n\n" +
		"retry: 1000\n\n"
	if got := w.Body.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A large event does not stay in the buffer of a stream that goes on.
func TestStreamKeepsNoLargeBuffer(t *testing.T) {
	s := NewStream(httptest.NewRecorder(), time.Second)
	for _, size := range []int{8 << 10, 1 << 20} {
		if err := s.Send(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if cap(s.buf) > keptBuffer {
			t.Errorf("%d bytes are kept after an event of %d", cap(s.buf), size)
		}
	}
}

// A stream that is hung up is a whole response and the end of its connection, while its
// handler goes on and writes nothing more.
func TestHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := make(chan error, 2)
		resp := get(t, func(w http.ResponseWriter, _ *http.Request) {
			s := NewStream(w, time.Second)
			if err := s.Send([]byte(`1`)); err != nil {
				t.Error(err)
			}
			s.HangUp()
			s.HangUp() // which changes nothing
			after <- s.Send([]byte(`2`))
			time.Sleep(time.Hour)
			after <- s.KeepAlive(time.Second)
			s.Close()
		})
		began := time.Now()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "event: message\ndata: 1\n\n" {
			t.Errorf("read %q, %v", b, err)
		}
		if time.Since(began) > time.Second {
			t.Error("the client learns of it when the handler returns")
		}
		for range 2 {
			if err := <-after; !errors.Is(err, ErrClosed) {
				t.Errorf("a write to what was hung up: %v", err)
			}
		}
	})
}

// A reader that has stopped does not keep who hangs up on it waiting for the deadline
// of the write.
func TestHangUpEndsAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Minute
		took, failed := make(chan time.Duration, 1), make(chan error, 1)
		_ = get(t, func(w http.ResponseWriter, _ *http.Request) {
			s := NewStream(w, timeout)
			go func() {
				time.Sleep(time.Second) // the write is stuck by then
				began := time.Now()
				s.HangUp()
				took <- time.Since(began)
			}()
			var err error
			for err == nil {
				err = s.Send(make([]byte, 4096))
			}
			failed <- err
			s.Close()
		}) // the head is read and nothing more
		if d := <-took; d >= timeout/2 {
			t.Errorf("it took %v", d)
		}
		if err := <-failed; err == nil {
			t.Error("the write did not fail")
		}
	})
}

// After its end a stream is not there to be hung up: the connection may carry the next
// response.
func TestHangUpComesTooLate(t *testing.T) {
	for _, opened := range []bool{true, false} {
		streams := make(chan *Stream, 1)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				(<-streams).HangUp()
				_, _ = w.Write([]byte("whole"))
				return
			}
			s := NewStream(w, time.Second)
			if opened {
				if err := s.Send([]byte(`1`)); err != nil {
					t.Error(err)
				}
			}
			s.Close()
			streams <- s
		}))
		srv.Client().Timeout = 10 * time.Second
		for _, path := range []string{"/", "/late"} {
			resp, err := srv.Client().Get(srv.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || path == "/late" && string(b) != "whole" {
				t.Errorf("opened %t, %s: %q, %v", opened, path, b, err)
			}
		}
		srv.Close()
	}
}

// What was hung up before it said anything says nothing, and its connection ends.
func TestHangUpBeforeTheFirstEvent(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := NewStream(w, time.Second)
		s.HangUp()
		if err := s.Send([]byte(`1`)); !errors.Is(err, ErrClosed) {
			t.Errorf("a write to what was hung up: %v", err)
		}
		s.Close()
	}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil || strings.Contains(string(b), "data:") {
		t.Errorf("%q, %v", b, err)
	}
}
