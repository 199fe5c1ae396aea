package session

import (
	"context"
	"errors"
	"time"
)

const (
	// flushBatch bounds how many sessions one call of the store writes or deletes.
	flushBatch = 512
	// eraseAfter is how long a record stays that expired while no process ran,
	// counted from the start: a wrong clock at the start loses nothing.
	eraseAfter = time.Hour
	eraseEvery = time.Minute
)

// touchLocked notes that the store must learn something about e.
func (s *shard) touchLocked(e *entry) {
	if s.dir.keep == nil || e.touched {
		return
	}
	e.touched = true
	s.touched = append(s.touched, e)
}

// Flush writes to the store what it does not know yet of the sessions touched
// before the call, and deletes the records of those that ended. Commits need no
// Flush. Without a store it does nothing. It fails with Unavailable if the store
// does; what is left is tried again later.
func (d *Directory) Flush(ctx context.Context) error {
	if d.keep == nil {
		return nil
	}
	return d.keep.flush(ctx)
}

func (k *keeper) flush(ctx context.Context) error {
	select {
	case k.flushing <- struct{}{}:
		defer func() { <-k.flushing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	errs := k.buryAll(ctx)
	left := make([]int, len(k.dir.shards)) // what is touched from now on is for the next time
	for i, s := range k.dir.shards {
		s.mu.Lock()
		left[i] = len(s.touched)
		s.mu.Unlock()
	}
	var b batch
	for i, s := range k.dir.shards {
		for left[i] > 0 {
			if ctx.Err() != nil {
				_, err := k.writeBatch(ctx, &b) // there are claims in it
				return errors.Join(context.Cause(ctx), errs, err)
			}
			n := min(left[i], flushBatch-b.len())
			k.take(s, n, &b)
			if left[i] -= n; b.len() < flushBatch {
				continue
			}
			goOn, err := k.writeBatch(ctx, &b)
			if errs = errors.Join(errs, err); !goOn {
				return errs
			}
		}
	}
	_, err := k.writeBatch(ctx, &b)
	return errors.Join(errs, err)
}

// batch is what one round of a flush writes.
type batch struct {
	uses    []Use
	used    []*entry
	changes []Change
	made    []*entry // with a claim each
	shared  []*entry // their stored grants are others
	skipped int
	full    bool // no more sessions are stored for the first time: that has failed
}

func (b *batch) len() int { return len(b.uses) + len(b.changes) + b.skipped }

// take moves up to n touched sessions into the batch.
func (k *keeper) take(s *shard, n int, b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := k.dir.now()
	n = min(n, len(s.touched))
	taken := s.touched[:n:n]
	if s.touched = s.touched[n:]; len(s.touched) == 0 {
		s.touched = nil
	}
	for _, e := range taken {
		e.touched = false
		switch {
		case e.doomedLocked():
			b.skipped++
		case e.stored:
			b.used = append(b.used, e)
			b.uses = append(b.uses, Use{
				Key: e.storeKey(), LastUsed: k.dir.wall(e.lastUsed), Expires: k.dir.wall(e.lapsesLocked(now)),
				Calls: e.calls, Errors: e.errors, Client: e.client.Value(),
			})
			if e.grantsStaleLocked() {
				b.shared = append(b.shared, e)
			}
		case b.full, k.claimLocked(e) != nil: // or a commit stores it at the moment
			b.skipped++
			s.touchLocked(e)
		default:
			b.made = append(b.made, e)
			b.changes = append(b.changes, Change{Record: e.recordLocked(now), Create: true})
		}
	}
	clear(taken)
}

// writeBatch writes a batch and empties it. What could not be written is touched
// again. A store that takes nothing new may still take uses: then it goes on.
func (k *keeper) writeBatch(ctx context.Context, b *batch) (goOn bool, err error) {
	var used, made error
	if len(b.uses) > 0 {
		used = k.call(ctx, "touch", func(ctx context.Context) error { return k.store.Touch(ctx, b.uses...) })
		if used != nil {
			k.requeue(b.used)
		}
	}
	if len(b.changes) > 0 {
		made = k.createAll(ctx, b)
	}
	shared := k.settleGrants(ctx, b.shared)
	*b = batch{full: b.full || made != nil}
	if err := errors.Join(used, made); err != nil {
		return used == nil && !unknown(made), unavailable(err, "the last uses of sessions could not be stored")
	}
	return true, shared
}

// createAll stores sessions for the first time, and ends the claims on them.
func (k *keeper) createAll(ctx context.Context, b *batch) error {
	err := k.call(ctx, "create", func(ctx context.Context) error { return k.store.Save(ctx, b.changes...) })
	if _, stale := errors.AsType[*StaleError](err); !stale {
		for _, e := range b.made {
			k.created(e, err)
		}
		if err != nil {
			k.requeue(b.made)
		}
		return err
	}
	// One of them is stored: an earlier attempt, to which there was no answer, did.
	var errs error
	for i, e := range b.made {
		err := k.call(ctx, "create", func(ctx context.Context) error { return k.store.Save(ctx, b.changes[i]) })
		if _, stale := errors.AsType[*StaleError](err); stale {
			err = nil
			k.requeue([]*entry{e})
		}
		k.created(e, err)
		if err != nil {
			errs = errors.Join(errs, err)
			k.requeue([]*entry{e})
		}
	}
	return errs
}

func (k *keeper) requeue(all []*entry) {
	for _, e := range all {
		e.shard.mu.Lock()
		if !e.doomedLocked() {
			e.shard.touchLocked(e)
		}
		e.shard.mu.Unlock()
	}
}

// buryAll deletes the records of the sessions that have ended so far.
func (k *keeper) buryAll(ctx context.Context) error {
	k.mu.Lock()
	last := k.lastDead
	k.mu.Unlock()
	for {
		keys := k.someGraves(last)
		if len(keys) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := k.erase(ctx, keys...); err != nil {
			return err
		}
	}
}

// someGraves returns a batch of graves that are no younger than last.
func (k *keeper) someGraves(last uint64) (keys []Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, g := range k.graves {
		if g.number > last {
			continue
		}
		if keys = append(keys, key); len(keys) == flushBatch {
			break
		}
	}
	return keys
}

// last flushes for the last time.
func (k *keeper) last() {
	if k == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	if err := k.flush(ctx); err != nil {
		k.log.Error("the last uses of some sessions are not stored: after the restart they may end early, or be there again though they ended", "error", err)
	}
}

// run writes behind until ctx is done.
func (k *keeper) run(ctx context.Context) {
	t := time.NewTicker(k.dir.cfg.FlushEvery)
	defer t.Stop()
	erase := moment(eraseAfter)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.shed:
			k.shedCells()
			continue
		case <-t.C:
		}
		if ctx.Err() != nil {
			return
		}
		_ = k.flush(ctx) // logged and counted; what is left is tried again
		k.shedCells()
		if now := k.dir.now(); now >= erase {
			k.eraseExpired(ctx, now)
			erase = now.add(eraseEvery)
		}
	}
}

// eraseExpired deletes the records that expired long ago and of which no session
// is left: those of sessions that ended while no process ran.
func (k *keeper) eraseExpired(ctx context.Context, now moment) {
	before := k.dir.wall(now.add(-eraseAfter))
	for ctx.Err() == nil {
		var keys []Key
		err := k.call(ctx, "expired", func(ctx context.Context) (err error) {
			keys, _, err = k.store.Expired(ctx, before, flushBatch)
			return err
		})
		found := len(keys)
		dead := keys[:0]
		for _, key := range keys {
			if !k.dir.holds(key) {
				dead = append(dead, key)
			}
		}
		if err != nil || len(dead) == 0 {
			return
		}
		err = k.call(ctx, "delete", func(ctx context.Context) error { return k.store.Delete(ctx, dead...) })
		if err != nil || found < flushBatch {
			return
		}
	}
}

// holds reports whether a session of that key has not ended.
func (d *Directory) holds(key Key) bool {
	s := d.shardOf(key.Owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.owners[key.Owner]
	if own == nil {
		return false
	}
	for _, e := range own.sessions {
		if e.id == key.ID {
			return true
		}
	}
	return false
}
