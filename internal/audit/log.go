package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Log is a log in a directory. Its methods may be called by many goroutines.
type Log struct {
	cfg     Config
	key     *Key
	encoder encoder
	lock    *os.File

	wake    chan struct{} // there is something to write
	urgent  chan struct{} // there is something that must not wait for more
	closing chan struct{}
	wg      sync.WaitGroup // the writer and the forwarder
	writer  *writer        // owned by its goroutine once that runs

	forward chan Record // nil without Config.Forward

	counters counters

	mu sync.Mutex
	// Under mu:
	pending *batch // what Append fills
	spare   *batch // an empty one, for reuse
	lost    uint64 // records since the last gap record that were dropped
	refused uint64 // and whose calls were refused
	failing error  // why nothing can be written now; nil when all is well
	closed  bool
}

// batch is what is written with one write. Append fills it under Log.mu, then
// the writer owns it.
type batch struct {
	buf   []byte // the callers' parts of lines
	ends  []int  // where each ends
	flush bool   // somebody waits for an fsync whatever the policy
	done  chan struct{}
	err   error // read after done is closed
}

// wait returns the channel that is closed when the batch is settled.
func (b *batch) wait() <-chan struct{} {
	if b.done == nil {
		b.done = make(chan struct{})
	}
	return b.done
}

func (b *batch) settle(err error) {
	b.err = err
	if b.done != nil {
		close(b.done)
	}
}

// urgentBytes is when a batch is written without waiting for more.
const urgentBytes = 256 << 10

var scratches = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func putScratch(b *[]byte) {
	if cap(*b) <= 128<<10 {
		scratches.Put(b)
	}
}

// Open opens the log in cfg.Dir or begins one. Half a line at its end, which a
// kill may leave, is cut off and that is recorded; a log that is damaged
// otherwise is left as it is, and goes on in a new file that says so.
func Open(cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the audit log: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l, err := open(cfg, lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the audit log in %s: %w", cfg.Dir, err), lock.Close())
	}
	return l, nil
}

func open(cfg Config, lock *os.File) (*Log, error) {
	key, err := OpenKey(cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	if err := key.publish(cfg.Dir); err != nil {
		return nil, err
	}
	l := &Log{
		cfg: cfg, key: key, lock: lock,
		encoder: encoder{key: key, arguments: cfg.Arguments, noAddresses: cfg.NoAddresses},
		wake:    make(chan struct{}, 1), urgent: make(chan struct{}, 1), closing: make(chan struct{}),
		pending: &batch{},
	}
	if l.writer, err = newWriter(l); err != nil {
		return nil, err
	}
	l.wg.Go(l.writer.run)
	if cfg.Forward != nil {
		l.forward = make(chan Record, maxForward)
		l.wg.Go(func() {
			for r := range l.forward {
				cfg.Forward(r)
			}
		})
	}
	return l, nil
}

// Append adds a record. Under FsyncAlways it returns when the record is on the
// disk, otherwise at once; then it costs a microsecond or two. See Sink for its
// errors. When ctx ends while it waits, the record may be in the log.
func (l *Log) Append(ctx context.Context, r Record) error {
	if r.Kind == "" || r.Kind.reserved() {
		return fault.Newf(fault.Internal, "audit records of kind %q are not for callers", r.Kind)
	}
	scratch := scratches.Get().(*[]byte)
	*scratch = l.encoder.record((*scratch)[:0], &r)
	b, err := l.enqueue(*scratch)
	putScratch(scratch)
	if err != nil {
		return err
	}
	if l.forward != nil {
		l.offer(r)
	}
	if b == nil {
		return nil
	}
	select {
	case <-b.done:
		if l.cfg.OnFull == Degrade {
			return nil // an error is for who asked for a flush
		}
		return b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enqueue takes the caller's part of a line. The batch that it returns is to be
// waited for.
func (l *Log) enqueue(part []byte) (*batch, error) {
	l.mu.Lock()
	b, wake, err := l.enqueueLocked(part)
	l.mu.Unlock()
	if wake != nil {
		select {
		case wake <- struct{}{}:
		default: // it is awake
		}
	}
	return b, err
}

func (l *Log) enqueueLocked(part []byte) (*batch, chan struct{}, error) {
	b := l.pending
	full := len(b.ends) >= l.cfg.MaxQueue || len(b.buf)+len(part) > l.cfg.MaxQueueBytes
	switch {
	case l.closed:
		return nil, nil, unavailable("audit_closed", "the audit log is closed", nil)
	case l.cfg.OnFull == Refuse && l.failing != nil:
		l.refused++
		l.counters.refused.Add(1)
		return nil, nil, unavailable("audit_failing", "the audit log cannot be written", l.failing)
	case l.cfg.OnFull == Refuse && full:
		l.refused++
		l.counters.refused.Add(1)
		return nil, nil, unavailable("audit_full", "too many audit records wait to be written", nil)
	case full:
		l.lost++
		l.counters.lost.Add(1)
		return nil, nil, nil
	}
	b.buf = append(b.buf, part...)
	b.ends = append(b.ends, len(b.buf))
	l.counters.queued.Add(1)
	if l.cfg.Fsync == FsyncAlways {
		if l.failing != nil { // Degrade: it is written when that works again
			return nil, nil, nil
		}
		b.wait()
		return b, l.wake, nil
	}
	switch {
	case len(b.buf) >= urgentBytes || 2*len(b.ends) >= l.cfg.MaxQueue:
		return nil, l.urgent, nil
	case len(b.ends) == 1:
		return nil, l.wake, nil
	}
	return nil, nil, nil
}

func unavailable(code, public string, cause error) error {
	return &fault.Error{Kind: fault.Unavailable, Code: code, Public: public, RetryAfter: time.Second, Err: cause}
}

// offer passes a record to the forwarder unless it is behind.
func (l *Log) offer(r Record) {
	l.encoder.outgoing(&r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	select { // it does not block, and Close closes the channel under the same mutex
	case l.forward <- r:
	default:
		l.counters.forwardDropped.Add(1)
	}
}

// outgoing makes of a record that is appended one that comes out of a log.
func (e *encoder) outgoing(r *Record) {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if r.Session != "" {
		r.Session = e.key.SessionHash(r.Session)
	}
	if e.noAddresses {
		r.Address = ""
	}
	switch {
	case e.arguments == NoArguments:
		r.Digest = ""
	case r.Digest == "" && len(r.Arguments) > 0:
		r.Digest = ArgumentsDigest(r.Arguments)
	}
	if e.arguments == FullArguments && len(r.Arguments) <= maxArguments {
		r.Arguments = append(json.RawMessage(nil), r.Arguments...)
		return
	}
	r.Arguments = nil
}

// Flush returns when everything appended before it is on the disk, or cannot be
// brought there.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return unavailable("audit_closed", "the audit log is closed", nil)
	case l.failing != nil:
		defer l.mu.Unlock()
		return unavailable("audit_failing", "the audit log cannot be written", l.failing)
	}
	b := l.pending
	b.flush = true
	done := b.wait()
	l.mu.Unlock()
	select {
	case l.urgent <- struct{}{}:
	default:
	}
	select {
	case <-done:
		return b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Query yields matching records, oldest first, after what was appended before is
// written. A Session that is not a hash is taken for a handle.
func (l *Log) Query(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := l.Flush(ctx); err != nil && ctx.Err() != nil {
			yield(Entry{}, err)
			return
		} // a log that cannot be written can be read
		f.Session = sessionHash(l.key, f.Session)
		for e, err := range Query(ctx, l.cfg.Dir, f) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// Key returns the key that signs.
func (l *Log) Key() *Key { return l.key }

// Health is nil, or says why records are refused or lost.
func (l *Log) Health() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failing != nil:
		return fmt.Errorf("the audit log cannot be written: %w", l.failing)
	case l.lost > 0:
		return fmt.Errorf("the audit log is behind: %d records were lost", l.lost)
	}
	return nil
}

// Close writes what waits, a last checkpoint, and closes the file. Its error
// says how many records could not be written.
func (l *Log) Close() error {
	l.mu.Lock()
	already := l.closed
	l.closed = true
	if !already && l.forward != nil {
		close(l.forward)
	}
	l.mu.Unlock()
	if already {
		return nil
	}
	close(l.closing)
	l.wg.Wait()
	return errors.Join(l.writer.err, l.lock.Close())
}

// counters are written by whoever counts and read by Stats.
type counters struct {
	appended, refused, lost, forwardDropped                atomic.Uint64
	writes, writeErrors, syncs, syncErrors                 atomic.Uint64
	syncNanos                                              atomic.Int64
	queued, fileBytes                                      atomic.Int64
	seq, checkpoint, files, deleted, batchMost, signatures atomic.Uint64
}

// Stats are counters since Open, and what is so now.
type Stats struct {
	Appended       uint64        // records written
	Refused        uint64        // records that were refused, and their calls with them
	Lost           uint64        // records that were dropped under Degrade
	ForwardDropped uint64        // records that Forward was too slow for
	Queue          int           // records that wait to be written
	Writes         uint64        // batches
	WriteErrors    uint64        // failed writes, fsyncs among them
	Syncs          uint64        // fsyncs
	SyncErrors     uint64        // that failed
	SyncTime       time.Duration // spent in them
	LargestBatch   int           // records
	Seq            uint64        // of the last line
	Checkpoint     uint64        // of the last signed line
	Signatures     uint64
	Files          uint64 // begun
	FilesDeleted   uint64
	FileBytes      int64 // of the newest
	Failing        bool  // nothing can be written now
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	failing := l.failing != nil
	l.mu.Unlock()
	c := &l.counters
	return Stats{
		Appended: c.appended.Load(), Refused: c.refused.Load(), Lost: c.lost.Load(), ForwardDropped: c.forwardDropped.Load(),
		Queue: int(c.queued.Load()), Writes: c.writes.Load(), WriteErrors: c.writeErrors.Load(),
		Syncs: c.syncs.Load(), SyncErrors: c.syncErrors.Load(), SyncTime: time.Duration(c.syncNanos.Load()),
		LargestBatch: int(c.batchMost.Load()), Seq: c.seq.Load(), Checkpoint: c.checkpoint.Load(), Signatures: c.signatures.Load(),
		Files: c.files.Load(), FilesDeleted: c.deleted.Load(), FileBytes: c.fileBytes.Load(), Failing: failing,
	}
}
