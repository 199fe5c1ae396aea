package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Defaults of CacheConfig.
const (
	DefaultCacheSize  = 16384
	DefaultCacheAge   = time.Minute
	DefaultRefusedAge = 10 * time.Second
)

const (
	shardCount   = 16 // a power of two
	refusedShare = 4  // one place for a refusal beside this many for principals
	minCacheSize = shardCount * refusedShare
	maxCacheAge  = time.Hour
)

// CacheConfig bounds a Cached verifier. A revoked token stays usable for at
// most Age.
type CacheConfig struct {
	Size       int           // principals kept, at least 64; 0 means DefaultCacheSize. A quarter as many refusals are kept besides.
	Age        time.Duration // how long a principal is kept, at most until it expires or its Recheck, ≤ 1 h; 0 means DefaultCacheAge
	RefusedAge time.Duration // how long a refusal is kept, ≤ Age; 0 means DefaultRefusedAge or Age, the shorter
}

func (c CacheConfig) withDefaults() (CacheConfig, error) {
	if c.Size == 0 {
		c.Size = DefaultCacheSize
	}
	if c.Age == 0 {
		c.Age = DefaultCacheAge
	}
	if c.RefusedAge == 0 {
		c.RefusedAge = min(DefaultRefusedAge, c.Age)
	}
	var errs []error
	if c.Size < minCacheSize {
		errs = append(errs, fmt.Errorf("cache size %d: want at least %d", c.Size, minCacheSize))
	}
	if c.Age < 0 || c.Age > maxCacheAge {
		errs = append(errs, fmt.Errorf("cache age %s: want 0 to %s", c.Age, maxCacheAge))
	}
	if c.RefusedAge < 0 || c.RefusedAge > c.Age {
		errs = append(errs, fmt.Errorf("cache age of refusals %s: want 0 to the age of principals, %s", c.RefusedAge, c.Age))
	}
	return c, errors.Join(errs...)
}

// Cached is a Verifier that remembers the verdicts of another one. The key is
// the SHA-256 of the token, never the token. Refusals are kept apart from
// principals, so that a flood of bad tokens evicts no good one; an outage, a
// cancelled call and an internal failure are never kept. Callers that present
// the same token at the same time share one verification.
//
// A hit costs one hash of the token and one short lock of one of 16 shards.
type Cached struct {
	inner  Verifier
	config CacheConfig
	shards [shardCount]shard
}

type tokenHash = [sha256.Size]byte

type shard struct {
	mu sync.Mutex

	// owned by mu
	granted *simplelru.LRU[tokenHash, verdict]
	refused *simplelru.LRU[tokenHash, verdict]
	flights map[tokenHash]*flight
}

// verdict is what is remembered about one token: a principal or a refusal.
type verdict struct {
	principal *Principal
	err       error
	until     time.Time
}

// flight is one verification in progress. Its verdict may be read once done is
// closed.
type flight struct {
	done chan struct{}

	verdict   verdict
	abandoned bool // the leader gave up or panicked: the verdict says nothing about the token
	forgotten bool // owned by the shard's mu: Forget or Purge came meanwhile, so the verdict is not kept
}

// NewCached returns a cache in front of inner.
func NewCached(inner Verifier, config CacheConfig) (*Cached, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cached{inner: inner, config: config}
	for i := range c.shards {
		s := &c.shards[i]
		if s.granted, err = simplelru.NewLRU[tokenHash, verdict](config.Size/shardCount, nil); err != nil {
			return nil, err
		}
		if s.refused, err = simplelru.NewLRU[tokenHash, verdict](config.Size/shardCount/refusedShare, nil); err != nil {
			return nil, err
		}
		s.flights = make(map[tokenHash]*flight)
	}
	return c, nil
}

// Verify implements Verifier. The principal is shared by all who present the
// token. When ctx ends while another caller's verification is awaited, the error
// is ctx.Err(); nobody else is affected.
func (c *Cached) Verify(ctx context.Context, token string) (*Principal, error) {
	hash := hashOf(token)
	s := c.shard(hash)
	for {
		s.mu.Lock()
		if v, ok := s.lookupLocked(hash, time.Now()); ok {
			s.mu.Unlock()
			return v.principal, v.err
		}
		f, flying := s.flights[hash]
		if !flying {
			f = &flight{done: make(chan struct{}), abandoned: true}
			s.flights[hash] = f
		}
		s.mu.Unlock()
		if !flying {
			return c.lead(ctx, s, hash, token, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !f.abandoned {
			return f.verdict.principal, f.verdict.err
		}
	}
}

// lead verifies on the caller's goroutine and with the caller's context, and
// lands f whatever happens. If the context ended first, the waiters take over:
// one of them leads next.
func (c *Cached) lead(ctx context.Context, s *shard, hash tokenHash, token string, f *flight) (*Principal, error) {
	defer c.land(s, hash, f)
	key := hex.EncodeToString(hash[:])
	p, err := c.inner.Verify(context.WithValue(ctx, hashedKey{}, hashed{token: token, key: key}), token)
	if err == nil && p == nil {
		err = errors.New("verifier returned neither a principal nor an error")
	}
	if err != nil {
		p = nil
		f.abandoned = ctx.Err() != nil && fault.KindOf(err) != fault.Unauthenticated
	} else {
		f.abandoned = false
		if p.TokenKey != key {
			own := *p
			own.TokenKey = key
			p = &own
		}
	}
	f.verdict = verdict{principal: p, err: err}
	return p, err
}

// land ends a flight and remembers its verdict if it is one.
func (c *Cached) land(s *shard, hash tokenHash, f *flight) {
	now := time.Now()
	s.mu.Lock()
	if s.flights[hash] == f {
		delete(s.flights, hash)
	}
	if !f.abandoned && !f.forgotten {
		c.rememberLocked(s, hash, f.verdict, now)
	}
	s.mu.Unlock()
	close(f.done)
}

func (c *Cached) rememberLocked(s *shard, hash tokenHash, v verdict, now time.Time) {
	switch {
	case v.err == nil:
		v.until = now.Add(c.config.Age)
		for _, end := range [...]time.Time{v.principal.Expires, v.principal.Recheck} {
			if !end.IsZero() && end.Before(v.until) {
				v.until = end
			}
		}
		if now.Before(v.until) {
			s.granted.Add(hash, v)
		}
	case fault.KindOf(v.err) == fault.Unauthenticated:
		v.until = now.Add(c.config.RefusedAge)
		s.refused.Add(hash, v)
	}
}

func (s *shard) lookupLocked(hash tokenHash, now time.Time) (verdict, bool) {
	for _, lru := range [...]*simplelru.LRU[tokenHash, verdict]{s.granted, s.refused} {
		if v, ok := lru.Get(hash); ok {
			if now.Before(v.until) {
				return v, true
			}
			lru.Remove(hash)
		}
	}
	return verdict{}, false
}

// Forget drops what is known about the token with this TokenKey, including the
// verdict of a verification in progress. Call it when a token is revoked.
func (c *Cached) Forget(key string) {
	var hash tokenHash
	if len(key) != hex.EncodedLen(len(hash)) {
		return
	}
	if _, err := hex.Decode(hash[:], []byte(key)); err != nil {
		return
	}
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.granted.Remove(hash)
	s.refused.Remove(hash)
	if f := s.flights[hash]; f != nil {
		f.forgotten = true
		delete(s.flights, hash)
	}
}

// Purge drops everything, including the verdicts of verifications in progress.
func (c *Cached) Purge() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.granted.Purge()
		s.refused.Purge()
		for _, f := range s.flights {
			f.forgotten = true
		}
		clear(s.flights)
		s.mu.Unlock()
	}
}

// Len returns the numbers of principals and of refusals kept, including those
// whose time is over and that nobody asked for since.
func (c *Cached) Len() (principals, refusals int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		principals += s.granted.Len()
		refusals += s.refused.Len()
		s.mu.Unlock()
	}
	return principals, refusals
}

func (c *Cached) shard(hash tokenHash) *shard { return &c.shards[hash[0]%shardCount] }

type hashedKey struct{}

// hashed carries a hash that Cached has computed to the verifier behind it.
type hashed struct{ token, key string }

// TokenKey returns the Principal.TokenKey of a token: its SHA-256 in hex. Behind
// a Cached it is not computed again; ctx is that of Verify.
func TokenKey(ctx context.Context, token string) string {
	if h, ok := ctx.Value(hashedKey{}).(hashed); ok && h.token == token {
		return h.key
	}
	hash := hashOf(token)
	return hex.EncodeToString(hash[:])
}

// hashOf hashes tokens of usual length without a copy on the heap.
func hashOf(token string) tokenHash {
	var usual [2048]byte
	if len(token) <= len(usual) {
		return sha256.Sum256(usual[:copy(usual[:], token)])
	}
	return sha256.Sum256([]byte(token))
}
