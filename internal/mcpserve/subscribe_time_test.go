package mcpserve

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/session"
)

// bench is a server's subscriptions without sockets, over a directory.
type bench struct {
	s    *Server
	dir  *session.Directory
	sub  *subscriber
	out  *recorder
	stop func() bool // ends the stream and returns what hold returned
}

// recorder is a response that can be read while it is written.
type recorder struct {
	*httptest.ResponseRecorder
	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

var benchOwner = session.Owner{Tenant: "t", Issuer: "i", Subject: "s"}

// newBench holds a stream for a subscriber. It must be called in a bubble.
func newBench(t *testing.T, cfg session.Config) *bench {
	b := &bench{dir: session.New(cfg, nil), sub: newSubscriber(benchOwner), out: &recorder{ResponseRecorder: httptest.NewRecorder()}}
	b.s = &Server{cfg: Config{KeepAlive: time.Hour, WriteTimeout: time.Second}.withDefaults()}
	b.s.Sessions, b.s.subs, b.s.streams = b.dir, newSubscriptions(100), newStreams(1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var ended bool
	wg.Go(func() {
		ended = b.s.hold(ctx, reply.NewStream(b.out, 0), time.Time{}, nil, b.sub, nil, []byte(`"id"`))
	})
	b.stop = func() bool { cancel(); wg.Wait(); return ended }
	return b
}

// watch opens a session and subscribes to it and one of its objects.
func (b *bench) watch(t *testing.T) *session.Handle {
	t.Helper()
	h, err := b.dir.Open(t.Context(), benchOwner, session.Params{})
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, h, "a")
	for _, u := range []resourceURI{{kind: uriSession, session: h.ID()}, {kind: uriSlot, session: h.ID(), part: "note/a"}} {
		if err := b.s.subs.add(b.sub, u.String(), u, h); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b.s.subs.settle(b.sub, &snap)
	return h
}

func (b *bench) put(t *testing.T, h *session.Handle, id string) {
	t.Helper()
	if err := notes.Key(id).Update(t.Context(), h, func(n *note) error { n.Text += "x"; return nil }); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) observe(t *testing.T, h *session.Handle) {
	t.Helper()
	snap, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b.s.subs.observe(&snap)
}

// sent returns how many updates went out.
func (b *bench) sent() int {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return strings.Count(b.out.text.String(), "resources/updated")
}

func TestChangesCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, session.Config{})
		h := b.watch(t)
		synctest.Wait()
		if n := b.sent(); n != 0 {
			t.Errorf("%d updates of nothing", n)
		}
		for range 100 { // nobody sends meanwhile: this goroutine does not block
			b.put(t, h, "a")
			b.observe(t, h)
		}
		synctest.Wait()
		if n := b.sent(); n < 2 || n > 200 {
			t.Errorf("%d updates", n)
		}
		if uris, _ := b.s.subs.take(b.sub); len(uris) > 0 {
			t.Errorf("%v was not sent", uris)
		}
		before := b.sent()
		b.observe(t, h) // the same version again
		synctest.Wait()
		if n := b.sent(); n != before {
			t.Errorf("%d updates of a version that was told", n-before)
		}
		b.put(t, h, "b") // another object
		b.observe(t, h)
		synctest.Wait()
		if n := b.sent(); n != before+1 {
			t.Errorf("%d updates, want the session's only", n-before)
		}
		h.Release()
		b.stop()
	})
}

// Commits that nobody tells of are found by their version.
func TestUntoldChangesAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, session.Config{})
		h := b.watch(t)
		b.put(t, h, "a")
		synctest.Wait()
		if n := b.sent(); n != 0 {
			t.Errorf("%d updates at once", n)
		}
		time.Sleep(recheckEvery + time.Millisecond)
		synctest.Wait()
		if n := b.sent(); n != 2 {
			t.Errorf("%d updates, want 2", n)
		}
		time.Sleep(10 * recheckEvery)
		synctest.Wait()
		if n := b.sent(); n != 2 {
			t.Errorf("%d updates, want no more", n)
		}
		h.Release()
		b.stop()
	})
}

// Watching keeps nothing alive: an idle session expires under its subscription,
// which is told although no sweeper runs, and the stream ends.
func TestWatchedSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, session.Config{IdleTTL: time.Minute})
		b.watch(t).Release()
		time.Sleep(time.Minute - time.Second)
		if len(b.dir.List(benchOwner)) != 1 {
			t.Fatal("it is gone already")
		}
		time.Sleep(time.Second + recheckEvery)
		synctest.Wait()
		if n := b.sent(); n != 2 {
			t.Errorf("%d updates, want one of each URI", n)
		}
		if !b.stop() {
			t.Error("the stream did not end by itself")
		}
	})
}

// broken is a connection that takes a number of writes.
type broken struct {
	*httptest.ResponseRecorder
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("gone")
	}
	b.left--
	return len(p), nil
}

// What could not be sent stays marked.
func TestUnsentUpdatesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, session.Config{})
		b.stop()
		h := b.watch(t)
		b.put(t, h, "a")
		b.observe(t, h)
		st := reply.NewStream(&broken{httptest.NewRecorder(), 1}, 0)
		if _, err := b.s.tell(st, b.sub, nil); err == nil {
			t.Error("it was sent")
		}
		if uris, over := b.s.subs.take(b.sub); len(uris) != 1 || over || !strings.HasSuffix(uris[0], "note%2Fa") {
			t.Errorf("%v, %v", uris, over)
		}
		select {
		case <-b.sub.wake:
		default:
			t.Error("nobody is woken for the rest")
		}
		h.Release()
	})
}

// Subscribers come and go while sessions change and end; nothing stays behind.
func TestSubscriptionsRace(t *testing.T) {
	dir := session.New(session.Config{MaxPerOwner: 100}, nil)
	subs := newSubscriptions(1000)
	var wg sync.WaitGroup
	for range 4 {
		h, err := dir.Open(t.Context(), benchOwner, session.Params{})
		if err != nil {
			t.Fatal(err)
		}
		id := h.ID()
		h.Release()
		for range 3 {
			wg.Go(func() {
				for range 200 {
					h, err := dir.Acquire(t.Context(), benchOwner, id)
					if err != nil {
						return
					}
					sub := newSubscriber(benchOwner)
					u := resourceURI{kind: uriSlot, session: id, part: "note/a"}
					if err := subs.add(sub, u.String(), u, h); err != nil {
						t.Error(err)
					}
					if snap, err := h.Snapshot(); err == nil {
						subs.settle(sub, &snap)
					}
					if err := notes.Key("a").Update(t.Context(), h, func(*note) error { return nil }); err == nil {
						if snap, err := h.Snapshot(); err == nil {
							subs.observe(&snap)
							if uris, _ := subs.take(sub); len(uris) == 0 {
								t.Error("one's own change is not marked")
							}
						}
					}
					h.Release()
					subs.recheck(sub, dir.List)
					subs.drop(sub)
				}
			})
		}
		wg.Go(func() { // half of the sessions end meanwhile
			for dir.Stats().Sessions > 2 {
				h, err := dir.Acquire(t.Context(), benchOwner, id)
				if err != nil {
					return
				}
				version := h.Version()
				h.Release()
				if version > 100 {
					_ = dir.Delete(t.Context(), benchOwner, id) // it may have ended
					return
				}
			}
		})
	}
	wg.Wait()
	for _, i := range dir.List(benchOwner) {
		if err := dir.Delete(t.Context(), benchOwner, i.ID); err != nil {
			t.Error(err)
		}
	}
	if len(subs.sessions)+len(subs.per) > 0 || subs.watched.Load() != 0 {
		t.Errorf("%d watches, %v, %d", len(subs.sessions), subs.per, subs.watched.Load())
	}
}
