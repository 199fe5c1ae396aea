package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const (
	// MaxDenials bounds a DenyList.
	MaxDenials = 100_000
	// MaxDenialAge is how long a denial that was made at run time can last. A token
	// that lives longer than that needs an entry in the configuration.
	MaxDenialAge = 366 * 24 * time.Hour

	maxDenialText = 512 // bytes of each of its texts
)

// Denial says which tokens are no longer believed although their issuer made
// them. It names an issuer, and then one of: a token by its id, a login by its
// session id, a subject, or everything up to a moment.
type Denial struct {
	ID     string `json:"id"` // from what it denies: the same denial has the same ID
	Issuer string `json:"issuer"`

	TokenID   string `json:"jti,omitempty"` // this token
	SessionID string `json:"sid,omitempty"` // the tokens of this login
	Subject   string `json:"sub,omitempty"` // the tokens of this subject

	// IssuedBefore narrows a Subject, or an issuer alone, to tokens that were
	// issued in this second or earlier, and to those that do not say when.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// NoSession narrows a Subject with IssuedBefore to tokens that name no login.
	NoSession bool `json:"no_session,omitempty"`

	Reason  string    `json:"reason,omitempty"` // for people
	Added   time.Time `json:"added,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // when it ends; zero means never, for configured ones only
	Fixed   bool      `json:"fixed,omitempty"`  // it is configured: it cannot be removed and is not kept elsewhere
}

// denyKind says which fields of a Denial are set.
type denyKind uint8

const (
	denyToken denyKind = iota
	denySession
	denySubject
	denySubjectBefore
	denyUnnamedBefore
	denyIssuerBefore
	denyKinds // how many there are
)

type denyKey struct {
	kind          denyKind
	issuer, value string
}

// key returns what d denies, or what is wrong with it.
func (d *Denial) key() (denyKey, error) {
	before := !d.IssuedBefore.IsZero()
	named := 0
	for _, s := range [...]string{d.TokenID, d.SessionID, d.Subject} {
		if s != "" {
			named++
		}
	}
	bad := func(text string) (denyKey, error) {
		return denyKey{}, &fault.Error{Kind: fault.Invalid, Code: "invalid_denial", Public: text}
	}
	for _, s := range [...]string{d.Issuer, d.TokenID, d.SessionID, d.Subject, d.Reason} {
		if len(s) > maxDenialText || strings.ContainsFunc(s, unicode.IsControl) {
			return bad(fmt.Sprintf("a denial's texts have at most %d bytes and no control characters", maxDenialText))
		}
	}
	switch {
	case d.Issuer == "":
		return bad("a denial needs an issuer")
	case named > 1:
		return bad("a denial names one of jti, sid and sub")
	case before && d.Subject == "" && named > 0:
		return bad("issued_before goes with sub or stands alone")
	case d.NoSession && !(before && d.Subject != ""):
		return bad("no_session goes with sub and issued_before")
	case d.TokenID != "":
		return denyKey{denyToken, d.Issuer, d.TokenID}, nil
	case d.SessionID != "":
		return denyKey{denySession, d.Issuer, d.SessionID}, nil
	case d.Subject != "" && d.NoSession:
		return denyKey{denyUnnamedBefore, d.Issuer, d.Subject}, nil
	case d.Subject != "" && before:
		return denyKey{denySubjectBefore, d.Issuer, d.Subject}, nil
	case d.Subject != "":
		return denyKey{denySubject, d.Issuer, d.Subject}, nil
	case before:
		return denyKey{denyIssuerBefore, d.Issuer, ""}, nil
	}
	return bad("a denial names a jti, a sid, a sub or issued_before: a whole issuer is removed from the configuration")
}

// digest names what k denies.
func (k denyKey) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", k.kind, k.issuer, k.value))
	return hex.EncodeToString(sum[:8])
}

// DenyStore keeps the denials of a DenyList for the next process. Each call is
// durable when it returns; they come one at a time.
type DenyStore interface {
	// Load returns what is kept. It is called once, first.
	Load(ctx context.Context) ([]Denial, error)
	// Append keeps one change: a denial that is new or replaces the one with its
	// ID, or if deleted the end of the denial with that ID.
	Append(ctx context.Context, d Denial, deleted bool) error
	// Replace keeps these denials and nothing else.
	Replace(ctx context.Context, all []Denial) error
}

// DenyList is the bounded list of denials. While it is empty a look costs one
// atomic load; otherwise a few look-ups in a map.
type DenyList struct {
	store  DenyStore               // nil keeps nothing
	fixed  map[denyKey]Denial      // the configured ones; never changed
	writer chan struct{}           // holds a token: whoever has it writes to the store
	counts [denyKinds]atomic.Int64 // entries by kind, to be read without mu
	size   atomic.Int64            // of all kinds

	mu sync.RWMutex

	// owned by mu
	entries map[denyKey]Denial // made at run time
	keys    map[string]denyKey // by ID

	// owned by the holder of the writer's token
	appended int // changes since the store was replaced
}

// slack is how many changes more than entries a store may hold before it is
// replaced.
const slack = 1000

// NewDenyList returns a list with the configured denials and those of the store,
// which may be nil. It fails if a configured one makes no sense, or if the store
// cannot be read: without it, revoked tokens would be good again.
func NewDenyList(ctx context.Context, configured []Denial, store DenyStore) (*DenyList, error) {
	l := &DenyList{
		store: store, writer: make(chan struct{}, 1),
		fixed: make(map[denyKey]Denial), entries: make(map[denyKey]Denial), keys: make(map[string]denyKey),
	}
	l.writer <- struct{}{}
	for _, d := range configured {
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		d.ID, d.Fixed = "conf_"+key.digest(), true
		if _, twice := l.fixed[key]; !twice {
			l.count(key, 1)
		}
		l.fixed[key] = d
	}
	if store == nil {
		return l, nil
	}
	kept, err := store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the denied tokens: %w", err)
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range kept {
		if key, err := d.key(); err == nil && !expired(d.Expires, now) && len(l.entries) < MaxDenials {
			l.putLocked(key, d)
		}
	}
	return l, nil
}

func (l *DenyList) count(key denyKey, by int64) {
	l.counts[key.kind].Add(by)
	l.size.Add(by)
}

func (l *DenyList) putLocked(key denyKey, d Denial) Denial {
	d.ID, d.Fixed = "deny_"+key.digest(), false
	if _, ok := l.entries[key]; !ok {
		l.count(key, 1)
	}
	l.entries[key], l.keys[d.ID] = d, key
	return d
}

func (l *DenyList) dropLocked(key denyKey) {
	if d, ok := l.entries[key]; ok {
		delete(l.entries, key)
		delete(l.keys, d.ID)
		l.count(key, -1)
	}
}

// Denies reports whether a token is denied.
func (l *DenyList) Denies(p *Principal) bool {
	if l.size.Load() == 0 {
		return false
	}
	now := time.Now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for kind := range denyKinds {
		if l.counts[kind].Load() == 0 {
			continue
		}
		key, ok := keyFor(kind, p)
		if ok && (covers(l.fixed, key, p, now) || covers(l.entries, key, p, now)) {
			return true
		}
	}
	return false
}

// keyFor returns the key under which a denial of that kind would cover p.
func keyFor(kind denyKind, p *Principal) (key denyKey, ok bool) {
	key = denyKey{kind: kind, issuer: p.Issuer}
	switch kind {
	case denyToken:
		key.value = p.TokenID
	case denySession:
		key.value = p.SessionID
	case denySubject, denySubjectBefore, denyUnnamedBefore:
		key.value = p.Subject
	}
	switch {
	case kind == denyIssuerBefore:
		return key, true
	case kind == denyUnnamedBefore && p.SessionID != "":
		return key, false
	}
	return key, key.value != ""
}

func covers(entries map[denyKey]Denial, key denyKey, p *Principal, now time.Time) bool {
	d, ok := entries[key]
	return ok && !expired(d.Expires, now) && (d.IssuedBefore.IsZero() || !p.IssuedAt.Truncate(time.Second).After(d.IssuedBefore))
}

// Add puts d on the list and returns it with its ID. It is in force at once, for
// tokens in caches too, even if it could not be kept for the next process, which
// is an error. The same denial once more lasts as long, and reaches as far, as
// the longer of the two. d.Expires is needed, at most MaxDenialAge away. A full
// list is an error of kind Unavailable.
func (l *DenyList) Add(ctx context.Context, d Denial) (Denial, error) {
	now := time.Now()
	d.Added = now.UTC().Truncate(time.Second)
	key, err := d.key()
	if err != nil {
		return Denial{}, err
	}
	if d.Expires.IsZero() || d.Expires.After(now.Add(MaxDenialAge)) || !d.Expires.After(now) {
		return Denial{}, &fault.Error{Kind: fault.Invalid, Code: "invalid_denial", Public: "expires: want a time to come, at most 366 days away"}
	}
	if err := l.turn(ctx); err != nil {
		return Denial{}, err
	}
	defer l.next()
	if d, err = l.take(key, d, now); err != nil {
		return Denial{}, err
	}
	return d, l.keep(ctx, d, false)
}

// take puts d into memory.
func (l *DenyList) take(key denyKey, d Denial, now time.Time) (Denial, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.entries[key]
	switch {
	case known:
		d.Expires = later(d.Expires, old.Expires)
		d.IssuedBefore = later(d.IssuedBefore, old.IssuedBefore)
	case len(l.entries) >= MaxDenials:
		l.sweepLocked(now)
		if len(l.entries) >= MaxDenials {
			return Denial{}, &fault.Error{Kind: fault.Unavailable, Code: "deny_list_full", Public: fmt.Sprintf("the deny-list is full: it holds %d entries", MaxDenials), RetryAfter: time.Minute}
		}
	}
	return l.putLocked(key, d), nil
}

func (l *DenyList) sweepLocked(now time.Time) {
	for key, d := range l.entries {
		if expired(d.Expires, now) {
			l.dropLocked(key)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Remove ends a denial: its tokens are good again until they expire. It fails
// with NotFound if there is none with the ID, and with Conflict if it is
// configured.
func (l *DenyList) Remove(ctx context.Context, id string) error {
	if err := l.turn(ctx); err != nil {
		return err
	}
	defer l.next()
	for _, d := range l.fixed {
		if d.ID == id {
			return &fault.Error{Kind: fault.Conflict, Code: "denial_is_configured", Public: "this denial is configured: change the configuration"}
		}
	}
	l.mu.Lock()
	key, ok := l.keys[id]
	d := l.entries[key]
	if ok {
		l.dropLocked(key)
	}
	l.mu.Unlock()
	if !ok {
		return fault.Newf(fault.NotFound, "no denial has the id %.40q", id)
	}
	return l.keep(ctx, d, true)
}

// List returns the denials in force, newest first.
func (l *DenyList) List() []Denial {
	now := time.Now()
	l.mu.RLock()
	all := make([]Denial, 0, len(l.entries)+len(l.fixed))
	for _, entries := range [...]map[denyKey]Denial{l.fixed, l.entries} {
		for _, d := range entries {
			if !expired(d.Expires, now) {
				all = append(all, d)
			}
		}
	}
	l.mu.RUnlock()
	slices.SortFunc(all, func(a, b Denial) int { return cmp.Or(b.Added.Compare(a.Added), cmp.Compare(a.ID, b.ID)) })
	return all
}

// turn waits until the caller may write to the store.
func (l *DenyList) turn(ctx context.Context) error {
	select {
	case <-l.writer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *DenyList) next() { l.writer <- struct{}{} }

// keep writes a change to the store, by the holder of the writer's token.
func (l *DenyList) keep(ctx context.Context, d Denial, deleted bool) error {
	if l.store == nil {
		return nil
	}
	err := l.store.Append(ctx, d, deleted)
	l.appended++
	if err == nil && l.appended > 2*int(l.size.Load())+slack {
		all := slices.DeleteFunc(l.List(), func(d Denial) bool { return d.Fixed })
		if err = l.store.Replace(ctx, all); err == nil {
			l.appended = 0
		}
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change is in force but could not be kept: it will be lost at the next start")
	}
	return nil
}
