package session

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Defaults of Config.
const (
	DefaultPrefix       = "rs_"
	DefaultIdleTTL      = 30 * time.Minute
	DefaultMaxTTL       = 24 * time.Hour
	DefaultMaxPerOwner  = 64
	DefaultMaxPerTenant = 20_000
	DefaultMaxTotal     = 100_000
	DefaultMaxBytes     = 4 << 20
	DefaultShards       = 64
	DefaultSweepEvery   = time.Second

	DefaultMaxBytesPerOwner  = 64 << 20
	DefaultMaxBytesPerTenant = 1 << 30
	DefaultMaxBytesTotal     = 8 << 30

	DefaultFlushEvery       = time.Second
	DefaultColdAfter        = 5 * time.Minute
	DefaultMaxResidentBytes = 256 << 20

	DefaultMaxGrants   = 32
	DefaultMaxGrantTTL = 24 * time.Hour
)

// Limits of what a request may attach to a session.
const (
	MaxName      = 128 // bytes
	MaxLabels    = 16
	MaxLabelKey  = 64  // bytes
	MaxLabelText = 256 // bytes
	maxClient    = 128 // bytes of each part of Client; more is cut off
	maxMaxTTL    = 10 * 365 * 24 * time.Hour
)

// Config bounds a Directory. A zero field means its default, or less where
// another field leaves less room.
type Config struct {
	Prefix       string        // of every ID: 1–8 lower-case letters and "_"
	IdleTTL      time.Duration // ceiling, from the last completed call
	MaxTTL       time.Duration // ceiling, from the opening
	MaxPerOwner  int           // sessions of one owner; its own least recent idle one makes room
	MaxPerTenant int           // sessions of one tenant
	MaxTotal     int           // sessions of all
	MaxBytes     int64         // committed state of one session
	Shards       int           // locks; an owner's sessions share one
	SweepEvery   time.Duration // how late the end of an expired session may be noticed

	// Committed state, in memory or not. Idle sessions make room.
	MaxBytesPerOwner  int64
	MaxBytesPerTenant int64
	MaxBytesTotal     int64

	MaxGrants   int           // of one session at once
	MaxGrantTTL time.Duration // ceiling of one grant
	// OnGrant, which may be nil, is called for every change of grants: once, before
	// whoever made the change gets an answer, under no lock. It runs on that
	// goroutine, or on that of Run when a grant expires. An expiry that is not stored
	// when the process crashes is told again by the next one.
	OnGrant func(GrantEvent)

	// OnOpen, which may be nil, is called for every session that begins: once, before
	// anybody can find it, under no lock, with the context of whoever opens it. Its
	// error refuses the opening.
	OnOpen func(context.Context, Opening) error
	// OnEnd, which may be nil, is called for every session that ends: once, under no
	// lock, before its teardown hooks, on the goroutine that ended it. That a
	// directory with a store is closed ends no session. What Restore finds expired or
	// over a cap is told too, by each process until its record is erased.
	OnEnd func(Ending)

	// Of a directory with a store.
	FlushEvery       time.Duration // how late the store learns of a completed call
	ColdAfter        time.Duration // how long the state of an idle session stays in memory
	MaxResidentBytes int64         // state in memory; that of idle sessions leaves when there is more
}

// withDefaults fills zero fields. A default never exceeds the ceiling that
// another field sets.
func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.MaxTTL == 0 {
		c.MaxTTL = max(DefaultMaxTTL, c.IdleTTL)
	}
	if c.IdleTTL == 0 {
		c.IdleTTL = min(DefaultIdleTTL, c.MaxTTL)
	}
	if c.MaxTotal == 0 {
		c.MaxTotal = max(DefaultMaxTotal, c.MaxPerTenant, c.MaxPerOwner)
	}
	if c.MaxPerTenant == 0 {
		c.MaxPerTenant = min(max(DefaultMaxPerTenant, c.MaxPerOwner), c.MaxTotal)
	}
	if c.MaxPerOwner == 0 {
		c.MaxPerOwner = min(DefaultMaxPerOwner, c.MaxPerTenant)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Shards == 0 {
		c.Shards = DefaultShards
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = DefaultSweepEvery
	}
	if c.MaxBytesTotal == 0 {
		c.MaxBytesTotal = max(DefaultMaxBytesTotal, c.MaxBytesPerTenant, c.MaxBytesPerOwner)
	}
	if c.MaxBytesPerTenant == 0 {
		c.MaxBytesPerTenant = min(max(DefaultMaxBytesPerTenant, c.MaxBytesPerOwner), c.MaxBytesTotal)
	}
	if c.MaxBytesPerOwner == 0 {
		c.MaxBytesPerOwner = min(DefaultMaxBytesPerOwner, c.MaxBytesPerTenant)
	}
	if c.FlushEvery == 0 {
		c.FlushEvery = DefaultFlushEvery
	}
	if c.ColdAfter == 0 {
		c.ColdAfter = DefaultColdAfter
	}
	if c.MaxResidentBytes == 0 {
		c.MaxResidentBytes = DefaultMaxResidentBytes
	}
	if c.MaxGrants == 0 {
		c.MaxGrants = DefaultMaxGrants
	}
	if c.MaxGrantTTL == 0 {
		c.MaxGrantTTL = DefaultMaxGrantTTL
	}
	return c
}

var prefixPattern = regexp.MustCompile(`^[a-z]{1,8}_$`)

// Validate reports every field that is out of range, and every pair that
// contradicts itself, as one joined error. Zero fields are valid.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(ok bool, field string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("sessions: %s is %v: want %s", field, got, want))
		}
	}
	check(prefixPattern.MatchString(c.Prefix), "prefix", c.Prefix, `1 to 8 lower-case letters and "_"`)
	check(c.IdleTTL >= time.Millisecond, "idle_ttl", c.IdleTTL, "at least 1ms")
	check(c.MaxTTL >= c.IdleTTL, "max_ttl", c.MaxTTL, fmt.Sprintf("at least idle_ttl, %v", c.IdleTTL))
	check(c.MaxTTL <= maxMaxTTL, "max_ttl", c.MaxTTL, fmt.Sprintf("at most %v", maxMaxTTL))
	check(c.MaxPerOwner >= 1, "max_per_owner", c.MaxPerOwner, "at least 1")
	check(c.MaxPerTenant >= c.MaxPerOwner, "max_per_tenant", c.MaxPerTenant, fmt.Sprintf("at least max_per_owner, %d", c.MaxPerOwner))
	check(c.MaxTotal >= c.MaxPerTenant, "max_total", c.MaxTotal, fmt.Sprintf("at least max_per_tenant, %d", c.MaxPerTenant))
	check(c.MaxTotal <= 1<<24, "max_total", c.MaxTotal, "at most 16777216")
	check(c.MaxBytes >= 1, "max_bytes", c.MaxBytes, "at least 1")
	check(c.Shards >= 1 && c.Shards <= 1<<12, "shards", c.Shards, "1 to 4096")
	check(c.SweepEvery >= time.Millisecond, "sweep_every", c.SweepEvery, "at least 1ms")
	check(c.MaxBytesPerOwner >= 1, "max_bytes_per_owner", c.MaxBytesPerOwner, "at least 1")
	check(c.MaxBytesPerTenant >= c.MaxBytesPerOwner, "max_bytes_per_tenant", c.MaxBytesPerTenant, fmt.Sprintf("at least max_bytes_per_owner, %d", c.MaxBytesPerOwner))
	check(c.MaxBytesTotal >= c.MaxBytesPerTenant, "max_bytes_total", c.MaxBytesTotal, fmt.Sprintf("at least max_bytes_per_tenant, %d", c.MaxBytesPerTenant))
	check(c.FlushEvery >= time.Millisecond, "flush_every", c.FlushEvery, "at least 1ms")
	check(c.ColdAfter >= time.Millisecond, "cold_after", c.ColdAfter, "at least 1ms")
	check(c.MaxResidentBytes >= 1, "max_resident_bytes", c.MaxResidentBytes, "at least 1")
	check(c.MaxGrants >= 1 && c.MaxGrants <= 1024, "max_grants", c.MaxGrants, "1 to 1024")
	check(c.MaxGrantTTL >= time.Millisecond && c.MaxGrantTTL <= maxMaxTTL, "max_grant_ttl", c.MaxGrantTTL, fmt.Sprintf("1ms to %v", maxMaxTTL))
	return errors.Join(errs...)
}

// admit checks p against the ceilings and returns it with the TTLs filled in
// and the client's description cut to size.
func (c *Config) admit(p Params) (Params, error) {
	ttl := func(name string, asked *time.Duration, ceiling time.Duration) error {
		switch {
		case *asked == 0:
			*asked = ceiling
		case *asked < 0:
			return fault.Newf(fault.Invalid, "%s is %v: want more than 0 and at most %v", name, *asked, ceiling)
		case *asked > ceiling:
			return fault.Newf(fault.Invalid, "%s is %v: the ceiling is %v; ask for less or leave it out", name, *asked, ceiling)
		}
		return nil
	}
	if err := ttl("idle TTL", &p.IdleTTL, c.IdleTTL); err != nil {
		return p, err
	}
	if err := ttl("absolute TTL", &p.MaxTTL, c.MaxTTL); err != nil {
		return p, err
	}
	if len(p.Name) > MaxName || !utf8.ValidString(p.Name) {
		return p, fault.Newf(fault.Invalid, "the session name has %d bytes: want valid UTF-8 of at most %d", len(p.Name), MaxName)
	}
	if len(p.Labels) > MaxLabels {
		return p, fault.Newf(fault.Invalid, "there are %d labels: want at most %d", len(p.Labels), MaxLabels)
	}
	for k, v := range p.Labels {
		if k == "" || len(k) > MaxLabelKey || len(v) > MaxLabelText || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return p, fault.Newf(fault.Invalid, "label %.64q has %d bytes of key and %d of text: want valid UTF-8, 1 to %d and at most %d",
				k, len(k), len(v), MaxLabelKey, MaxLabelText)
		}
	}
	p.Client = p.Client.cut()
	return p, nil
}

// cut bounds what a client says about itself.
func (c Client) cut() Client {
	for _, s := range []*string{&c.Name, &c.Version, &c.Revision, &c.Transport} {
		if len(*s) > maxClient {
			n := maxClient
			for n > 0 && !utf8.RuneStart((*s)[n]) {
				n--
			}
			*s = string([]byte((*s)[:n])) // a copy: the rest of the long string can go
		}
	}
	return c
}
