package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// The walk tries every id of every kind on every verb, by people whose it is not:
// somebody else of the tenant, and somebody of the same name in another tenant. An
// id that is somebody else's, was deleted, has expired or is no longer granted must
// be answered as one that never was: same status, same headers, same bytes, and
// about the same time.

// request is one way to use an id.
type request struct {
	method, path, body string
	head               []string
	stream             bool // the answer may be one that does not end
}

type verb struct {
	name string
	ask  func(c *caller, id string) request
}

// idKind is one row of the registry.
type idKind struct {
	name  string
	verbs []verb
	// live returns a new id of the owner's that works.
	live func() string
	// gone are ids of the owner's that do not work any more, by what became of them.
	gone map[string]string
	// mine, if not nil, tries the verbs too, on what is gone of its own.
	mine *caller
}

// caller is somebody with a token, and what the verbs need besides.
type caller struct {
	w       *walk
	name    string
	token   string
	session string // reasoning, of its own
}

// walk is a server under the walk.
type walk struct {
	*testing.T
	site         *site
	http         *http.Client
	url          string
	alice, admin *caller // whose ids they are, and who may end them
	strangers    []*caller
	release      chan struct{} // lets jobs end
	found        []string      // what the walk reports

	mu    sync.Mutex
	owned map[string]bool   // under mu: ids of alice's that a broken look-up finds for anybody
	homes map[string]string // under mu: the transport sessions of the ids that have one, which it finds too
}

// hold is a call that becomes a job and runs until it is released.
func hold(release <-chan struct{}) tools.Tool {
	return tools.Define(tools.Spec{
		Name: "hold", Family: "test", Title: "Hold", Summary: "Waits.", Scope: policy.Reason, Lane: work.Interactive, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"hold"}`}},
	}, func(ctx context.Context, _ *tools.Call, in noopIn) (noopIn, error) {
		if in.Text == "short" {
			return in, nil
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return in, ctx.Err()
	})
}

// asks is a call that waits for an answer of its user.
func asks() tools.Tool {
	return tools.Define(tools.Spec{
		Name: "asks", Family: "test", Title: "Asks", Summary: "Asks for a name.", Scope: policy.Reason, Lane: work.Interactive, Method: "none", Asks: true,
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"asks"}`}},
	}, func(ctx context.Context, c *tools.Call, in noopIn) (noopIn, error) {
		answers, err := c.Ask(ctx, tools.Form("name", "Who are you?", json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}}}`)))
		if err != nil {
			return in, err
		}
		_, content := answers.Form("name")
		return noopIn{Text: string(content)}, nil
	})
}

// walkResumeWindow is short: the question of a call ends with its stream only when
// nobody can resume that any more.
const walkResumeWindow = 500 * time.Millisecond

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{T: t, release: make(chan struct{})}
	still := noop("still", work.Inline)
	s := start(t, []tools.Tool{hold(w.release), asks(), still}, func(c *config.Config) {
		c.Transport.IdleTTL, c.Transport.MaxPerOwner = 2*time.Second, 1000
		c.Sessions.MaxPerOwner = 1000
		c.Jobs.InlineLimit, c.Jobs.Retention = 100*time.Millisecond, time.Second
		c.Work.Tickets = 48                                                     // held jobs keep theirs
		c.HTTP.MaxStreamsPerOwner, c.HTTP.ResumeWindow = 1000, walkResumeWindow // questions end with their streams
	})
	w.site, w.http = s, s.http
	t.Cleanup(func() { close(w.release) })
	server := httptest.NewServer(w.spoiled(s.app.Handler()))
	t.Cleanup(server.Close)
	w.url = server.URL
	w.alice, w.admin = w.as("the owner", "alice", "acme"), w.as("an operator", "olga", "acme", "admin.write")
	w.strangers = []*caller{w.as("bob of the tenant", "bob", "acme"), w.as("alice of another tenant", "alice", "globex")}
	for _, c := range append(w.strangers, w.alice) {
		c.session = c.create("")
	}
	return w
}

func (w *walk) as(name, sub, tenant string, scopes ...string) *caller {
	return &caller{w: w, name: name, token: w.site.token(devidp.TokenRequest{Sub: sub, Tenant: tenant, Scope: strings.Join(scopes, " ")})}
}

// spoiled is a server whose look-ups ignore who asks, for the ids in owned: a
// request that names one is served as its owner's.
func (w *walk) spoiled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		for id := range w.owned {
			if strings.Contains(string(body), id) || strings.Contains(r.URL.Path, id) || r.Header.Get("Mcp-Session-Id") == id || r.Header.Get("Last-Event-ID") == id {
				r.Header.Set("Authorization", "Bearer "+w.alice.token)
				if home := w.homes[id]; home != "" {
					r.Header.Set("Mcp-Session-Id", home)
				}
				if strings.HasPrefix(r.URL.Path, "/api/") {
					r.Header.Set("Authorization", "Bearer "+w.admin.token)
				}
			}
		}
		w.mu.Unlock()
		next.ServeHTTP(rw, r)
	})
}

// answer is what came back, without what differs from call to call.
type answer struct {
	status int
	header http.Header
	body   string
}

// streamWait is how long an answer that does not end is listened to.
const streamWait = 150 * time.Millisecond

func (c *caller) send(q request) answer {
	c.w.Helper()
	ctx := c.w.Context()
	if q.stream {
		limited, cancel := context.WithTimeout(ctx, streamWait)
		defer cancel()
		ctx = limited
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.w.url+q.path, strings.NewReader(q.body))
	if err != nil {
		c.w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(q.head); i += 2 {
		r.Header.Set(q.head[i], q.head[i+1])
	}
	resp, err := c.w.http.Do(r)
	if err != nil {
		if q.stream {
			return answer{status: -1, body: "no answer"}
		}
		c.w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && !q.stream {
		c.w.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// plain replaces what differs between two answers of the same: the id that was
// asked for, and the request's.
func (a answer) plain(id string) answer {
	h := a.header.Clone()
	request := h.Get("X-Request-Id")
	h.Del("Date")
	h.Del("X-Request-Id")
	// A request id grows by a digit now and then.
	if h.Get("Content-Length") != "" {
		h.Set("Content-Length", fmt.Sprint(len(a.body)-strings.Count(a.body, request)*len(request)))
	}
	body := expiry.ReplaceAllString(strings.ReplaceAll(a.body, request, "REQUEST"), "EXPIRY") // by the second
	return answer{a.status, h, strings.ReplaceAll(body, id, "ID")}
}

func (a answer) equal(b answer) bool {
	return a.status == b.status && a.body == b.body && maps.EqualFunc(a.header, b.header, slices.Equal)
}

// never returns an id like id that never was.
func never(id string) string {
	at := strings.LastIndexByte(id, '_') + 1
	var b strings.Builder
	for b.Len() < len(id)-at {
		if refPattern.MatchString(id) {
			b.WriteString(ref(rand.Text()))
		} else {
			b.WriteString(strings.ToLower(rand.Text()))
		}
	}
	return id[:at] + b.String()[:len(id)-at]
}

// report notes what tells an id from one that never was.
func (w *walk) report(format string, args ...any) {
	w.found = append(w.found, fmt.Sprintf(format, args...))
}

// try compares an id of the owner's with one that never was. ask must not need the
// id to be there.
func (w *walk) try(c *caller, k *idKind, v verb, state, id string) {
	unknown := never(id)
	got, want := c.send(v.ask(c, id)).plain(id), c.send(v.ask(c, unknown)).plain(unknown)
	if !got.equal(want) {
		w.report("%s, %s: %s by %s is told from one that never was:\n got %d %v %s\nwant %d %v %s",
			k.name, v.name, state, c.name, got.status, got.header, got.body, want.status, want.header, want.body)
	}
}

// Bounds of what timing may tell: an answer that takes so much longer was looked
// for elsewhere.
const (
	timingRounds = 9
	timingTries  = 3
	timingSlack  = 15 * time.Millisecond
)

// clock compares how long the answers take, in turns, so that what else the machine
// does is the same for both. A difference counts if it is there each time.
func (w *walk) clock(c *caller, k *idKind, v verb, id string) {
	var known, unknown time.Duration
	for range timingTries {
		known, unknown = w.medians(c, v, id)
		if known <= 2*unknown+timingSlack && unknown <= 2*known+timingSlack {
			return
		}
	}
	w.report("%s, %s by %s: %v for an id that exists, %v for one that never was", k.name, v.name, c.name, known, unknown)
}

// medians returns how long the answer to a verb takes for an id that exists, and for
// one that never was; now the one is asked first, now the other.
func (w *walk) medians(c *caller, v verb, id string) (known, unknown time.Duration) {
	var took [2][]time.Duration
	ids := []string{id, never(id)}
	for round := range timingRounds {
		for turn := range ids {
			i := (turn + round) % len(ids)
			q := v.ask(c, ids[i])
			begin := time.Now()
			c.send(q)
			took[i] = append(took[i], time.Since(begin))
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	return took[0][timingRounds/2], took[1][timingRounds/2]
}

// walkAll tries everything, and the time of it if that is asked for.
func (w *walk) walkAll(kinds []*idKind, timed bool) {
	for _, k := range kinds {
		for _, v := range k.verbs {
			for _, c := range w.strangers {
				if k.live != nil {
					id := k.live()
					w.try(c, k, v, "somebody else's", id)
					if timed && !v.ask(c, id).stream {
						w.clock(c, k, v, id)
					}
				}
			}
			for state, id := range k.gone {
				for _, c := range w.strangers {
					w.try(c, k, v, state, id)
				}
				if k.mine != nil {
					w.try(k.mine, k, v, state, id)
				}
			}
		}
	}
}

// No id of any kind is told from one that never was by anybody whose it is not.
func TestIsolation(t *testing.T) {
	w := newWalk(t)
	kinds := w.registry()
	for _, k := range kinds {
		if len(k.verbs) == 0 || k.live == nil && len(k.gone) == 0 {
			t.Errorf("%s: nothing is tried", k.name)
		}
		for state, id := range k.gone {
			if id == "" {
				t.Errorf("%s: there is no id that is %s", k.name, state)
			}
		}
	}
	w.walkAll(kinds, true)
	for _, f := range w.found {
		t.Error(f)
	}
}

// A look-up that ignores the owner does not pass the walk, by whichever verb it is
// reached.
func TestIsolationSeesABrokenLookUp(t *testing.T) {
	w := newWalk(t)
	for _, k := range w.registry() {
		if k.live == nil {
			continue
		}
		for _, v := range k.verbs {
			id := k.live()
			w.mu.Lock()
			w.owned = map[string]bool{id: true}
			w.mu.Unlock()
			w.found = nil
			w.try(w.strangers[0], k, v, "somebody else's", id)
			w.mu.Lock()
			w.owned = nil
			w.mu.Unlock()
			if len(w.found) == 0 {
				t.Errorf("%s, %s: the walk does not see that anybody may use the id", k.name, v.name)
			}
		}
	}
}

// ref is how operators name a session.
func ref(id string) string { return session.ID(id).Ref() }

var (
	refPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)
	expiry     = regexp.MustCompile(`expiresAt\\?":\\?"[^"\\]+`)
	objectID   = regexp.MustCompile(`"(\w*[iI]d)":"(([a-z]+)_[a-z2-7]{26})"`)
)
