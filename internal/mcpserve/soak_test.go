package mcpserve

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soaker is a client with one connection.
type soaker struct {
	w    *world
	http http.Client
}

// talk makes one call of talk as p and returns the messages of its answer, of which the
// last is the response.
func (s *soaker) talk(p *peer, id, who string, reports int) ([]string, error) {
	body, heads := p.message(id, "tools/call", fmt.Sprintf(
		`{"_meta":{"progressToken":%s},"name":"clear_thought","arguments":{"operation":"talk","parameters":{"who":%q,"n":%d}}}`, id, who, reports))
	req, err := http.NewRequestWithContext(s.w.t.Context(), "POST", s.w.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + p.who, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		headerSession: p.session, headerVersion: p.rev,
	} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	for _, f := range heads {
		f(req)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%d %s: %w", resp.StatusCode, b, err)
	}
	var messages []string
	for line := range strings.Lines(string(b)) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			messages = append(messages, strings.TrimSpace(data))
		}
	}
	return messages, nil
}

// 10,000 calls with five reports each on 64 connections: for a quarter of the time all
// of them within one session of an older revision, then half in sessions of their own and
// half under 2026-07-28. There the clients use the same ids and tokens as each other, so
// that only the way of an event tells whose it is. None is lost, foreign, out of order or
// after its answer.
func TestSoakOfProgress(t *testing.T) {
	w, _ := talkWorld(t)
	const connections, rounds, reports = 64, 157, 5
	shared := w.legacy("alice", rev202511)
	var dials, events atomic.Int64
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	began := time.Now()
	round := func(from, to int, as func(i, r int) (p *peer, id string)) {
		var wg sync.WaitGroup
		for i := range connections {
			s := &soaker{w: w, http: http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DialContext: dial}}}
			wg.Go(func() {
				defer s.http.CloseIdleConnections()
				for r := from; r < to && !t.Failed(); r++ {
					p, id := as(i, r)
					who := fmt.Sprintf("client %d, call %d", i, r)
					l := p.listener()
					var err error
					if l.messages, err = s.talk(p, id, who, reports); err != nil {
						t.Errorf("%s: %v", who, err)
						return
					}
					events.Add(int64(len(l.messages)))
					l.whole(id, who, reports, false)
				}
			})
		}
		wg.Wait()
	}
	round(0, rounds/4, func(i, r int) (*peer, string) { return shared, fmt.Sprint(i*rounds + r) }) // ids are unique within a session
	var own [connections]*peer
	for i := range own {
		if own[i] = w.modern(fmt.Sprintf("m%d", i)); i%2 == 0 {
			own[i] = w.legacy(fmt.Sprintf("o%d", i), legacyRevisions[i/2%len(legacyRevisions)])
		}
	}
	round(rounds/4, rounds, func(i, r int) (*peer, string) { return own[i], fmt.Sprint(r) })
	if n := dials.Load(); n > 3*connections { // a client gives up one now and then
		t.Errorf("%d connections were opened, want %d: answers have ended some", n, 2*connections)
	}
	if n := events.Load(); n < connections*rounds*(reports+1) {
		t.Errorf("%d events", n)
	}
	t.Logf("%d calls on %d connections, %d events in %v", connections*rounds, connections, events.Load(), time.Since(began).Round(time.Millisecond))
}
