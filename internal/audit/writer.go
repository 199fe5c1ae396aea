package audit

import (
	"errors"
	"fmt"
	"time"
)

// writer owns the files. All fields belong to its goroutine once run has begun.
type writer struct {
	log   *Log
	cfg   Config
	chain chain
	out   []byte // lines being composed

	segment
	held     *batch    // a batch that could not be written and will be again
	retryAt  time.Time // when writing fails: the next attempt
	dirty    time.Time // when the oldest write that was not synced happened; zero without one
	synced   uint64    // last seq known to be on the disk
	doubtful bool      // an fsync failed: records after synced may not be on the disk
	renew    bool      // the file is not to be written any more
	damage   string    // why the first file to begin does not follow from the one before it
	closed   []Segment // older files, oldest first
	err      error     // of closing
}

// batchRoom is the buffer that a batch keeps for reuse.
const batchRoom = 1 << 20

func (w *writer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(w.idle(time.Now()))
		select {
		case <-w.log.wake:
			if w.cfg.Fsync != FsyncAlways && !w.linger() {
				w.close()
				return
			}
		case <-w.log.urgent:
		case <-timer.C:
		case <-w.log.closing:
			w.close()
			return
		}
		w.step(time.Now())
	}
}

// linger waits for more records to write together; false means that the log is
// being closed.
func (w *writer) linger() bool {
	timer := time.NewTimer(w.cfg.FlushEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.log.urgent:
	case <-w.log.closing:
		return false
	}
	return true
}

// idle returns how long there is nothing to do by itself.
func (w *writer) idle(now time.Time) time.Duration {
	if !w.retryAt.IsZero() {
		return max(0, w.retryAt.Sub(now))
	}
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if !w.dirty.IsZero() && w.cfg.Fsync == FsyncInterval {
		sooner(w.dirty.Add(w.cfg.FsyncInterval))
	}
	if w.chain.unsigned > 0 {
		sooner(w.chain.since.Add(w.cfg.CheckpointInterval))
	}
	if w.file != nil && w.filled {
		sooner(w.opened.Add(w.cfg.MaxAge))
	}
	return max(0, next.Sub(now))
}

// step writes what waits, as often as there is something.
func (w *writer) step(now time.Time) {
	if !w.retryAt.IsZero() && now.Before(w.retryAt) {
		return
	}
	for {
		b, lost, refused := w.take()
		recovered := b == w.held && b != nil || !w.retryAt.IsZero()
		if err := w.commit(now, b, lost, refused); err != nil {
			w.fail(now, b, err)
			return
		}
		if err := w.succeed(b, lost, refused); err != nil {
			w.fail(now, nil, err)
			return
		}
		if !recovered { // else there may be more that was held up
			break
		}
	}
	if err := w.sync(now, false); err != nil {
		w.fail(now, nil, err)
	}
}

// take returns the batch to write, and what a gap record has to say.
func (w *writer) take() (b *batch, lost, refused uint64) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.held != nil {
		return w.held, 0, 0 // the gap is after what still waits
	}
	b = l.pending
	if l.pending = l.spare; l.pending == nil {
		l.pending = &batch{}
	}
	l.spare = nil
	return b, l.lost, l.refused
}

// commit composes and writes a batch. When it fails, nothing has happened.
func (w *writer) commit(now time.Time, b *batch, lost, refused uint64) error {
	if err := w.mend(); err != nil {
		return err
	}
	if err := w.turn(now); err != nil {
		return err
	}
	saved := w.chain
	w.out = w.out[:0]
	w.compose(now, b)
	if lost > 0 || refused > 0 {
		part := appendText(appendTime(nil, now), "kind", string(Gap), maxKind)
		part = appendNumber(appendNumber(part, "lost", lost), "refused", refused)
		w.line(now, appendText(part, "reason", "the log could not be written", maxReason))
	}
	if w.chain.unsigned > 0 && now.Sub(w.chain.since) >= w.cfg.CheckpointInterval {
		w.checkpoint(now)
	}
	err := w.write()
	if err == nil && len(w.out) > 0 && w.cfg.Fsync == FsyncAlways {
		w.dirty = now
		err = w.sync(now, true)
	}
	if err != nil {
		w.chain = saved
		w.trim = true
		return err
	}
	w.size += int64(len(w.out))
	w.filled = w.filled || len(b.ends) > 0
	if len(w.out) > 0 && w.cfg.Fsync != FsyncAlways && w.dirty.IsZero() {
		w.dirty = now
	}
	if cap(w.out) > 2*batchRoom {
		w.out = nil
	}
	w.publish()
	return nil
}

// publish shows where the log stands.
func (w *writer) publish() {
	c := &w.log.counters
	c.seq.Store(w.chain.seq)
	c.checkpoint.Store(w.chain.checkpoint)
	c.fileBytes.Store(w.size)
}

// fail settles who waits, and sets the time of the next attempt. b is nil when
// all that was to be written is written, but perhaps not on the disk.
func (w *writer) fail(now time.Time, b *batch, err error) {
	l := w.log
	l.counters.writeErrors.Add(1)
	if w.retryAt.IsZero() {
		w.cfg.Log.Error("the audit log cannot be written", "dir", w.cfg.Dir, "on_full", string(w.cfg.OnFull), "error", err)
	}
	w.retryAt = now.Add(w.cfg.RetryEvery)
	w.held = nil
	l.mu.Lock()
	l.failing = err
	waiting := l.pending
	if waiting.done != nil || w.cfg.OnFull == Refuse && w.cfg.Fsync == FsyncAlways {
		l.pending = &batch{}
		if w.drops() {
			l.refused += uint64(len(waiting.ends))
		} else { // keep the records, let the callers go
			l.pending.buf, l.pending.ends = waiting.buf, waiting.ends
		}
	} else {
		waiting = nil
	}
	if b != nil && w.drops() {
		l.refused += uint64(len(b.ends))
	}
	l.mu.Unlock()
	if waiting != nil {
		w.release(waiting, err)
	}
	if b == nil {
		return
	}
	w.release(b, err)
	if !w.drops() && len(b.ends) > 0 {
		w.held = &batch{buf: b.buf, ends: b.ends}
	}
}

// drops reports whether a record that cannot be written is forgotten, because
// its call is refused.
func (w *writer) drops() bool { return w.cfg.OnFull == Refuse && w.cfg.Fsync == FsyncAlways }

// release settles a batch that was not written.
func (w *writer) release(b *batch, err error) {
	if w.drops() {
		w.log.counters.queued.Add(-int64(len(b.ends)))
		w.log.counters.refused.Add(uint64(len(b.ends)))
	}
	if w.drops() || b.flush {
		b.settle(unavailable("audit_failing", "the audit log cannot be written", err))
		return
	}
	b.settle(nil)
}

// succeed settles a batch that was written. Its error is that of an fsync that
// somebody waited for.
func (w *writer) succeed(b *batch, lost, refused uint64) error {
	l := w.log
	n := len(b.ends)
	l.counters.queued.Add(-int64(n))
	l.counters.appended.Add(uint64(n))
	if n > 0 {
		l.counters.batchMost.Store(max(l.counters.batchMost.Load(), uint64(n)))
	}
	if !w.retryAt.IsZero() {
		w.cfg.Log.Warn("the audit log can be written again", "dir", w.cfg.Dir, "lost", lost, "refused", refused)
	}
	w.retryAt, w.held = time.Time{}, nil
	var err error
	if b.flush {
		err = w.sync(time.Now(), true)
	}
	b.settle(unavailableUnless(err))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = nil
	l.lost -= lost
	l.refused -= refused
	if b.done == nil && cap(b.buf) <= batchRoom {
		b.buf, b.ends = b.buf[:0], b.ends[:0]
		l.spare = b
	}
	return err
}

// unavailableUnless classifies what an fsync came to.
func unavailableUnless(err error) error {
	if err == nil {
		return nil
	}
	return unavailable("audit_failing", "the audit log cannot be written", err)
}

// sync forces what was written to the disk when it is due, or when it must.
func (w *writer) sync(now time.Time, must bool) error {
	due := w.cfg.Fsync == FsyncInterval && now.Sub(w.dirty) >= w.cfg.FsyncInterval
	if w.file == nil || w.dirty.IsZero() || !must && !due {
		return nil
	}
	start := time.Now()
	err := w.file.Sync()
	w.log.counters.syncs.Add(1)
	w.log.counters.syncNanos.Add(int64(time.Since(start)))
	if err != nil {
		// After a failed fsync the system may take the pages for clean: nothing more
		// is entrusted to this file.
		w.log.counters.syncErrors.Add(1)
		w.renew = true
		w.doubtful = w.doubtful || w.cfg.Fsync != FsyncAlways
		w.dirty = time.Time{}
		return fmt.Errorf("fsync of %s: %w", w.name, err)
	}
	w.dirty = time.Time{}
	w.synced = w.chain.seq
	return nil
}

// close writes all there is, signs it, and closes the file.
func (w *writer) close() {
	now := time.Now()
	w.retryAt = time.Time{}
	var lost int
	for {
		b, gone, refused := w.take()
		if len(b.ends) == 0 && gone == 0 && refused == 0 {
			b.settle(nil)
			break
		}
		if err := w.commit(now, b, gone, refused); err != nil {
			w.err = err
			lost += len(b.ends) + w.abandon(b, err)
			break
		}
		if w.err = w.succeed(b, gone, refused); w.err != nil {
			break
		}
	}
	if w.err == nil {
		w.err = w.seal(now)
	}
	if w.file != nil {
		w.err = errors.Join(w.err, w.file.Close())
	}
	if w.err != nil {
		w.err = fmt.Errorf("close the audit log: %d records lost: %w", lost, w.err)
	}
}

// abandon settles what cannot be written before the log closes, and returns how
// many records wait behind b.
func (w *writer) abandon(b *batch, err error) int {
	l := w.log
	l.mu.Lock()
	waiting := l.pending
	l.pending = &batch{}
	l.failing = err
	l.mu.Unlock()
	n := 0
	for _, x := range []*batch{b, waiting} {
		l.counters.lost.Add(uint64(len(x.ends)))
		l.counters.queued.Add(-int64(len(x.ends)))
		x.settle(unavailable("audit_failing", "the audit log cannot be written", err))
		n += len(x.ends)
	}
	return n - len(b.ends)
}

// seal signs what is not signed and forces all to the disk.
func (w *writer) seal(now time.Time) error {
	if w.file == nil {
		return nil
	}
	if err := w.mend(); err != nil {
		return err
	}
	if w.chain.unsigned > 0 {
		saved := w.chain
		w.out = w.out[:0]
		w.checkpoint(now)
		if err := w.write(); err != nil {
			w.chain, w.trim = saved, true
			return err
		}
		w.size += int64(len(w.out))
	}
	w.dirty = now
	if err := w.sync(now, true); err != nil {
		return err
	}
	w.publish()
	return nil
}
