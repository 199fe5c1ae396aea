package app_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"time"
)

// events are the places in event streams of older revisions, which a client names to
// have what followed. An id is good in the transport session of its stream alone, so
// another session of the owner's is a stranger to it too.
func (w *walk) events() *idKind {
	w.Helper()
	within := map[string]string{} // the session that the owner asks in, where that is not a new one
	resume := verb{"GET with Last-Event-ID", func(c *caller, id string) request {
		transport := within[id]
		if transport == "" || c != w.alice {
			transport = c.initialize()
		}
		q := legacyPost(transport, "", "Last-Event-ID", id)
		q.method, q.stream = "GET", true
		return q
	}}
	k := &idKind{name: "event", mine: w.alice, verbs: []verb{resume}, live: func() string {
		transport := w.alice.initialize()
		id, _ := w.stands(transport)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.homes == nil {
			w.homes = map[string]string{}
		}
		w.homes[id] = transport
		return id
	}}
	home := w.alice.initialize()
	held, _ := w.stands(home) // its session lives as long as it does
	expired, leave := w.stands(home)
	leave()
	cut := time.Now()
	ended := w.alice.initialize()
	deleted, _ := w.stands(ended)
	q := legacyPost(ended, "")
	q.method = "DELETE"
	if a := w.alice.send(q); a.status != 204 {
		w.Fatalf("DELETE: %d %s", a.status, a.body)
	}
	name, _, _ := strings.Cut(held, "-")
	later := name + "-99"
	within[expired], within[later] = home, home
	w.until("a stream expires", func() bool { return time.Since(cut) > 2*walkResumeWindow })
	k.gone = map[string]string{
		"expired": expired, "not there yet": later, "of a session that was deleted": deleted,
		"of another session of the owner's": held, "well-formed and of nobody's": "0a1b2c3d4e5f6-1",
	}
	return k
}

// stands opens a standing stream of alice's, which lasts until leave or the end of the
// test, and returns the id of its first event.
func (w *walk) stands(transport string) (id string, leave func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	q := legacyPost(transport, "")
	r, err := http.NewRequestWithContext(ctx, "GET", w.url+q.path, nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.alice.token)
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(q.head); i += 2 {
		r.Header.Set(q.head[i], q.head[i+1])
	}
	resp, err := w.http.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	leave = func() {
		cancel()
		resp.Body.Close()
	}
	w.Cleanup(leave)
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	id, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "id: ")
	if err != nil || !ok {
		w.Fatalf("the stream begins with %q: %v", line, err)
	}
	return id, leave
}
