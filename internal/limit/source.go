package limit

import (
	"context"
	"sync"
	"time"
)

// Key names the record of one quota, for one party, on one day.
type Key struct {
	Quota   string
	Tenant  string
	Issuer  string // empty where the tenant is the party
	Subject string
	Day     int64 // days of UTC since 1970-01-01
}

// Start returns the midnight that the day begins with.
func (k Key) Start() time.Time { return time.Unix(k.Day*secondsPerDay, 0).UTC() }

const secondsPerDay = 24 * 60 * 60

// Record is what is kept of a quota: the most that may have been used.
type Record struct {
	Key
	Used    int64
	Expires time.Time // when nobody asks any more
}

// Source keeps records beyond the process. One limiter at a time writes to it.
// Methods may be called from any goroutine.
type Source interface {
	// Load returns what Save stored last under k, and 0 if nothing was.
	Load(ctx context.Context, k Key) (used int64, err error)
	// Save stores records, replacing those of the same keys. They are durable
	// when it returns nil. When it returns an error, nothing of it is stored
	// later; whether it has been does not matter.
	Save(ctx context.Context, records []Record) error
}

// Memory is a Source that ends with the process. It forgets days that are over.
type Memory struct {
	mu      sync.Mutex
	records map[Key]Record // under mu
	swept   time.Time      // under mu
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{records: map[Key]Record{}} }

// Load implements Source.
func (m *Memory) Load(ctx context.Context, k Key) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[k].Used, ctx.Err()
}

// Save implements Source.
func (m *Memory) Save(ctx context.Context, records []Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.records[r.Key] = r
	}
	if now := time.Now(); now.Sub(m.swept) > time.Hour {
		m.swept = now
		for k, r := range m.records {
			if r.Expires.Before(now) {
				delete(m.records, k)
			}
		}
	}
	return nil
}
