package mcpserve

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// 10,000 calls with five reports each on 64 connections: a quarter within one session
// of an older revision, a quarter in sessions of their own, half under 2026-07-28.
// The clients use the same ids and tokens as each other, so that only the way of an
// event tells whose it is. None is lost, foreign, out of order or after its answer.
func TestSoakOfProgress(t *testing.T) {
	w, _ := talkWorld(t)
	const connections, calls, reports = 64, 10_000, 5
	shared := w.legacy("alice", rev202511)
	var events atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for i := range connections {
		p, who := w.modern(fmt.Sprintf("m%d", i)), fmt.Sprintf("m%d", i)
		switch i % 4 {
		case 0:
			p = shared
		case 1:
			p = w.legacy(fmt.Sprintf("o%d", i), legacyRevisions[i/4%len(legacyRevisions)])
		}
		wg.Go(func() {
			for r := range (calls + connections - 1) / connections {
				id, who := fmt.Sprint(r+1), fmt.Sprintf("%s, call %d", who, r)
				if p == shared {
					id = fmt.Sprint(i*1000 + r) // ids are unique within a session
				}
				a := p.call(id, "clear_thought", fmt.Sprintf(`{"operation":"talk","parameters":{"who":%q,"n":%d}}`, who, reports), id)
				l := p.listener()
				for _, e := range a.events {
					l.messages = append(l.messages, string(e))
				}
				events.Add(int64(len(a.events)))
				if l.whole(id, who, reports, false); t.Failed() {
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls on %d connections, %d events in %v", (calls+connections-1)/connections*connections, connections, events.Load(), time.Since(began).Round(time.Millisecond))
}
