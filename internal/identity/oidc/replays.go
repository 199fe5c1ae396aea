package oidc

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	minReplays = 4
	shareOfKey = 4 // one key may have one part in so many of the places
)

// replays remembers ids that were used, each for one to two windows, in two
// generations: the older one is dropped as a whole. What is full refuses, because
// forgetting early would let a replay through; and no key can fill it alone.
type replays struct {
	size   int
	window time.Duration

	mu sync.Mutex

	// owned by mu
	began   time.Time
	now     generation
	earlier generation
}

type replayID [16]byte

type generation struct {
	ids   map[replayID]struct{}
	byKey map[string]int // how many of them are a key's
}

func newGeneration() generation {
	return generation{ids: make(map[replayID]struct{}), byKey: make(map[string]int)}
}

func newReplays(size int, window time.Duration) *replays {
	return &replays{size: size, window: window, now: newGeneration(), earlier: newGeneration()}
}

// take marks the id of a key as used. It refuses one that was.
func (r *replays) take(key, id string, now time.Time) error {
	sum := sha256.Sum256([]byte(key + "\x00" + id))
	short := replayID(sum[:len(replayID{})])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turnLocked(now)
	_, used := r.now.ids[short]
	_, before := r.earlier.ids[short]
	left := max(r.began.Add(r.window).Sub(now), time.Second)
	switch {
	case used || before:
		return identity.RefuseProof("proof_replayed", nil)
	case r.now.byKey[key] >= r.size/shareOfKey:
		return &fault.Error{Kind: fault.RateLimited, Code: "too_many_proofs", Public: "this key has signed too many proofs lately", RetryAfter: left}
	case len(r.now.ids) >= r.size:
		return &fault.Error{Kind: fault.Unavailable, Code: "too_many_proofs", Public: "too many proofs came lately", RetryAfter: left}
	}
	r.now.ids[short] = struct{}{}
	r.now.byKey[key]++
	return nil
}

// turnLocked starts a new generation when the present one is a window old.
func (r *replays) turnLocked(now time.Time) {
	age := now.Sub(r.began)
	if age < r.window {
		return
	}
	r.earlier = r.now
	if age >= 2*r.window {
		r.earlier = newGeneration()
	}
	r.now, r.began = newGeneration(), now
}
