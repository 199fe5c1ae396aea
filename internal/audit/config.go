package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// Fsync says when records are forced to the disk.
type Fsync string

// The policies, from the safest to the fastest.
const (
	FsyncAlways   Fsync = "always"   // before Append returns; callers share an fsync
	FsyncInterval Fsync = "interval" // every FsyncInterval: a power failure costs at most that
	FsyncNone     Fsync = "none"     // when the system likes, and when a file is full
)

// OnFull says what happens when records cannot be written.
type OnFull string

// The policies.
const (
	Refuse  OnFull = "refuse"  // Append fails: nothing is done that is not recorded
	Degrade OnFull = "degrade" // Append succeeds: what is not recorded is counted
)

// Arguments says what is written of a call's arguments.
type Arguments string

// The choices.
const (
	DigestOnly    Arguments = "digest"
	FullArguments Arguments = "full" // the digest, and up to 64 KiB of them
	NoArguments   Arguments = "none"
)

// Defaults of Config.
const (
	DefaultFsyncInterval      = time.Second
	DefaultFlushEvery         = 5 * time.Millisecond
	DefaultRetryEvery         = time.Second
	DefaultMaxQueue           = 8192
	DefaultMaxQueueBytes      = 8 << 20
	DefaultMaxFileBytes       = 64 << 20
	DefaultMaxAge             = 24 * time.Hour
	DefaultKeepFiles          = 64
	DefaultCheckpointEvery    = 1000
	DefaultCheckpointInterval = time.Minute
)

// maxForward bounds the records that wait for Config.Forward.
const maxForward = 1024

// Config says how a Log is kept. A zero field means its default.
type Config struct {
	// Dir is the directory of the log; it is made if it is not there. Required.
	Dir string
	// KeyFile is the private key that signs; it is made if it is not there. Empty
	// is audit.key in Dir. Whoever can read it can forge the log: a directory
	// apart from the log is better.
	KeyFile string

	// Fsync is FsyncInterval by default.
	Fsync Fsync
	// FsyncInterval is the longest time between a write and its fsync, from 1ms to
	// 1h. It matters to the policy interval only.
	FsyncInterval time.Duration
	// FlushEvery is how long a record may wait for others to be written together,
	// up to 1s: what a kill of the process may cost, under any policy but always.
	FlushEvery time.Duration

	// OnFull is Refuse by default.
	OnFull OnFull
	// RetryEvery is the time between attempts while writing fails, from 1ms to 1h.
	RetryEvery time.Duration
	// MaxQueue and MaxQueueBytes bound what waits to be written.
	MaxQueue      int
	MaxQueueBytes int

	// Arguments is DigestOnly by default.
	Arguments Arguments
	// NoAddresses leaves the clients' network addresses out.
	NoAddresses bool

	// MaxFileBytes is the size at which a new file begins, at least 4 KiB; a file
	// may exceed it by one batch, at most MaxQueueBytes. MaxAge is the age for the same.
	MaxFileBytes int64
	MaxAge       time.Duration
	// KeepFiles is the number of files kept, the newest included; −1 keeps all.
	KeepFiles int
	// KeepAge is the age at which a file that is no longer written is deleted; 0
	// keeps it. Ages are looked at when a file begins.
	KeepAge time.Duration

	// CheckpointEvery is the most records between two signatures, from 1 to
	// 1,000,000: as many can be forged at the end of a log by whoever can write it.
	CheckpointEvery int
	// CheckpointInterval is the longest time that records stay unsigned.
	CheckpointInterval time.Duration

	// Forward gets every record that was accepted, with its session hashed. It is
	// called by one goroutine; when it is slow, records are dropped and counted.
	Forward func(Record)
	// Log gets what an operator must know. Nil discards it.
	Log *slog.Logger

	files opener // tests
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.Fsync, FsyncInterval)
	orDefault(&c.FsyncInterval, DefaultFsyncInterval)
	orDefault(&c.FlushEvery, DefaultFlushEvery)
	orDefault(&c.OnFull, Refuse)
	orDefault(&c.RetryEvery, DefaultRetryEvery)
	orDefault(&c.MaxQueue, DefaultMaxQueue)
	orDefault(&c.MaxQueueBytes, DefaultMaxQueueBytes)
	orDefault(&c.Arguments, DigestOnly)
	orDefault(&c.MaxFileBytes, DefaultMaxFileBytes)
	orDefault(&c.MaxAge, DefaultMaxAge)
	orDefault(&c.KeepFiles, DefaultKeepFiles)
	orDefault(&c.CheckpointEvery, DefaultCheckpointEvery)
	orDefault(&c.CheckpointInterval, DefaultCheckpointInterval)
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.Dir, KeyFile)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.files == nil {
		c.files = openFile
	}
	return c
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	c = c.withDefaults()
	var all []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	between := func(name string, v, low, high time.Duration) {
		check(v >= low && v <= high, "%s is %v: want %v to %v", name, v, low, high)
	}
	check(c.Dir != "", "the directory of the audit log is missing")
	check(c.Fsync == FsyncAlways || c.Fsync == FsyncInterval || c.Fsync == FsyncNone, "fsync is %q: want always, interval or none", c.Fsync)
	check(c.OnFull == Refuse || c.OnFull == Degrade, "on full is %q: want refuse or degrade", c.OnFull)
	check(c.Arguments == DigestOnly || c.Arguments == FullArguments || c.Arguments == NoArguments, "arguments is %q: want digest, full or none", c.Arguments)
	between("the fsync interval", c.FsyncInterval, time.Millisecond, time.Hour)
	between("the flush interval", c.FlushEvery, time.Microsecond, time.Second)
	between("the retry interval", c.RetryEvery, time.Millisecond, time.Hour)
	between("the checkpoint interval", c.CheckpointInterval, time.Millisecond, 24*time.Hour)
	between("the age of a file", c.MaxAge, time.Millisecond, 10*8760*time.Hour)
	between("the age that files are kept to", c.KeepAge, 0, 100*8760*time.Hour)
	check(c.MaxQueue > 0 && c.MaxQueue <= 1<<24, "the queue has %d places: want 1 to %d", c.MaxQueue, 1<<24)
	check(c.MaxQueueBytes >= maxLine && c.MaxQueueBytes <= 1<<30, "the queue has %d bytes: want %d to %d", c.MaxQueueBytes, maxLine, 1<<30)
	check(c.MaxFileBytes >= 4<<10, "a file has %d bytes: want at least 4096", c.MaxFileBytes)
	check(c.KeepFiles > 0 || c.KeepFiles == -1, "%d files are kept: want at least 1, or -1 for all", c.KeepFiles)
	check(c.CheckpointEvery > 0 && c.CheckpointEvery <= 1_000_000, "a checkpoint every %d records: want 1 to 1000000", c.CheckpointEvery)
	return errors.Join(all...)
}
