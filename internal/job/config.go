package job

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of Config.
const (
	DefaultMaxTTL                   = 24 * time.Hour
	DefaultRetention                = time.Hour
	DefaultCheckpointEvery          = 5 * time.Second
	DefaultProgressEvery            = 250 * time.Millisecond
	DefaultPersistAfter             = 250 * time.Millisecond
	DefaultSweepEvery               = time.Second
	DefaultStoreTimeout             = 5 * time.Second
	DefaultGrace                    = time.Second
	DefaultMaxRunning               = 256
	DefaultMaxRunningPerOwner       = 16
	DefaultMaxQueued                = 1024
	DefaultMaxQueuedPerOwner        = 64
	DefaultMaxRetained              = 4096
	DefaultMaxRetainedPerOwner      = 128
	DefaultMaxRetainedBytes         = 256 << 20
	DefaultMaxRetainedBytesPerOwner = 32 << 20
	DefaultMaxInput                 = 1 << 20
	DefaultMaxResult                = 1 << 20
	DefaultMaxPartial               = 256 << 10
	DefaultMaxCheckpoint            = 4 << 20
	DefaultMaxStalled               = 5
)

// maxOperation bounds an operation's name, in bytes.
const maxOperation = 128

// Config bounds a Runner. A zero field means its default, or less where another
// field leaves less room.
type Config struct {
	// MaxTTL is the ceiling of a job's TTL, counted from its start, and the TTL
	// of a job that names none. Whatever a job does, it is gone after it.
	MaxTTL time.Duration
	// Retention is how long a finished job can be found, within its TTL.
	Retention time.Duration

	// CheckpointEvery is the least time between two written checkpoints of a job.
	CheckpointEvery time.Duration
	// PersistAfter is when the first checkpoint of a job that is started late and
	// restartable is due: a call that is shorter than that costs no write.
	PersistAfter time.Duration
	// ProgressEvery is the least time between two entries of a progress log, and
	// between two progress events of a job; reports in between are merged.
	ProgressEvery time.Duration
	// SweepEvery is how late the end of an expired job may be noticed. It is not
	// found in the meantime.
	SweepEvery time.Duration
	// StoreTimeout bounds one write.
	StoreTimeout time.Duration
	// Grace is how long Drain and Close wait for jobs that they have canceled.
	Grace time.Duration

	// MaxRunning and MaxRunningPerOwner bound how many jobs have a goroutine.
	// More are queued; the owners that wait take turns.
	MaxRunning, MaxRunningPerOwner int
	// MaxQueued and MaxQueuedPerOwner bound how many wait. More are refused.
	MaxQueued, MaxQueuedPerOwner int
	// MaxRetained, MaxRetainedPerOwner and their bytes bound the finished jobs
	// that are kept. Starting is refused from there on, so what is kept can exceed
	// them only by what was running or queued by then.
	MaxRetained, MaxRetainedPerOwner           int
	MaxRetainedBytes, MaxRetainedBytesPerOwner int64

	// The largest sizes of a job's JSON, in bytes.
	MaxInput, MaxResult, MaxPartial, MaxCheckpoint int

	// OnEnd, which may be nil, hears of every EventFinished, and unlike a listener of
	// the bus misses none. It runs under no lock on the goroutine that ended the job;
	// what Recover finds to be over is told by Recover.
	OnEnd func(Event)

	// MaxStalled is how often in a row a job may be interrupted without a new
	// checkpoint. Then it fails: it may be what stops the process.
	MaxStalled int
}

// withDefaults fills zero fields. A default never exceeds the ceiling that
// another field sets.
func (c Config) withDefaults() Config {
	or := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	wait := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	wait(&c.MaxTTL, max(DefaultMaxTTL, c.Retention))
	wait(&c.Retention, min(DefaultRetention, c.MaxTTL))
	wait(&c.CheckpointEvery, DefaultCheckpointEvery)
	wait(&c.ProgressEvery, DefaultProgressEvery)
	wait(&c.PersistAfter, min(DefaultPersistAfter, c.CheckpointEvery))
	wait(&c.SweepEvery, DefaultSweepEvery)
	wait(&c.StoreTimeout, DefaultStoreTimeout)
	wait(&c.Grace, DefaultGrace)
	or(&c.MaxRunning, max(DefaultMaxRunning, c.MaxRunningPerOwner))
	or(&c.MaxRunningPerOwner, min(DefaultMaxRunningPerOwner, c.MaxRunning))
	or(&c.MaxQueued, max(DefaultMaxQueued, c.MaxQueuedPerOwner))
	or(&c.MaxQueuedPerOwner, min(DefaultMaxQueuedPerOwner, c.MaxQueued))
	or(&c.MaxRetained, max(DefaultMaxRetained, c.MaxRetainedPerOwner))
	or(&c.MaxRetainedPerOwner, min(DefaultMaxRetainedPerOwner, c.MaxRetained))
	if c.MaxRetainedBytes == 0 {
		c.MaxRetainedBytes = max(DefaultMaxRetainedBytes, c.MaxRetainedBytesPerOwner)
	}
	if c.MaxRetainedBytesPerOwner == 0 {
		c.MaxRetainedBytesPerOwner = min(DefaultMaxRetainedBytesPerOwner, c.MaxRetainedBytes)
	}
	or(&c.MaxInput, DefaultMaxInput)
	or(&c.MaxResult, DefaultMaxResult)
	or(&c.MaxPartial, DefaultMaxPartial)
	or(&c.MaxCheckpoint, DefaultMaxCheckpoint)
	or(&c.MaxStalled, DefaultMaxStalled)
	return c
}

// Validate reports every field that is out of range, and every pair that
// contradicts itself, as one joined error. Zero fields are valid.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(ok bool, field string, got any, want string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("jobs: %s is %v: want %s", field, got, fmt.Sprintf(want, args...)))
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"max_ttl", c.MaxTTL},
		{"retention", c.Retention},
		{"checkpoint_every", c.CheckpointEvery},
		{"progress_every", c.ProgressEvery},
		{"persist_after", c.PersistAfter},
		{"sweep_every", c.SweepEvery},
		{"store_timeout", c.StoreTimeout},
		{"grace", c.Grace},
	} {
		check(d.value >= time.Millisecond, d.field, d.value, "at least 1ms")
	}
	check(c.Retention <= c.MaxTTL, "retention", c.Retention, "at most max_ttl, %v", c.MaxTTL)
	for _, pair := range []struct {
		field      string
		total, own int64
	}{
		{"max_running", int64(c.MaxRunning), int64(c.MaxRunningPerOwner)},
		{"max_queued", int64(c.MaxQueued), int64(c.MaxQueuedPerOwner)},
		{"max_retained", int64(c.MaxRetained), int64(c.MaxRetainedPerOwner)},
		{"max_retained_bytes", c.MaxRetainedBytes, c.MaxRetainedBytesPerOwner},
	} {
		check(pair.own >= 1, pair.field+"_per_owner", pair.own, "at least 1")
		check(pair.total >= pair.own, pair.field, pair.total, "at least %s_per_owner, %d", pair.field, pair.own)
	}
	for _, n := range []struct {
		field string
		value int
	}{
		{"max_input", c.MaxInput},
		{"max_result", c.MaxResult},
		{"max_partial", c.MaxPartial},
		{"max_checkpoint", c.MaxCheckpoint},
		{"max_stalled", c.MaxStalled},
	} {
		check(n.value >= 1, n.field, n.value, "at least 1")
	}
	return errors.Join(errs...)
}
