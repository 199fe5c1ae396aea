package job

import (
	"context"
	"encoding/json"
)

// takeTurn waits until the caller may write the record of e.
func (e *entry) takeTurn(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *entry) endTurn() { <-e.turn }

// save writes the newest state of e, unless e is gone. The write does not end
// with anybody's request, only after Config.StoreTimeout. When it fails, the
// sweeper tries again.
func (r *Runner) save(e *entry) error {
	err := r.write(e, func(ctx context.Context) error {
		rec, ok := e.toStore()
		if !ok {
			return nil
		}
		err := r.store.Put(ctx, rec)
		r.noteSaved(e, err)
		return err
	})
	if err != nil {
		return storeDown("save job "+e.id.Ref(), err)
	}
	return nil
}

// secure makes e one that is stored from now on, if it was not; the caller saves
// it. It fails, and changes nothing, if the input is not one that can be kept.
func (r *Runner) secure(e *entry) error {
	e.mu.Lock()
	late, unstored := e.late, e.unstored
	e.mu.Unlock()
	if !unstored {
		return nil
	}
	input, err := late()
	if err != nil {
		return err
	}
	if err := r.checkInput(input); err != nil {
		return err
	}
	r.expose(e, input)
	return nil
}

// expose notes that e is stored from now on, with the input it is to be run
// with again, and tells that it has begun.
func (r *Runner) expose(e *entry, input json.RawMessage) {
	e.mu.Lock()
	first := e.unstored
	e.unstored, e.late = false, nil
	if first && !e.rec.State.Final() {
		e.rec.Input = input
	}
	runs, job := e.rec.State == Running, e.rec.Brief()
	e.mu.Unlock()
	if first && runs {
		r.tell(EventStarted, job, true)
	}
}

// erase removes the record of e, which is gone. When it fails, the sweeper
// tries again; until then e counts as retained.
func (r *Runner) erase(e *entry) error {
	if e.quiet() { // and gone, so that no write of it can begin any more
		r.noteErased(e, nil)
		return nil
	}
	err := r.write(e, func(ctx context.Context) error {
		if r.isErased(e) {
			return nil
		}
		err := r.store.Delete(ctx, e.owner, e.id)
		r.noteErased(e, err)
		return err
	})
	if err != nil {
		return storeDown("delete job "+e.id.Ref(), err)
	}
	return nil
}

func (r *Runner) write(e *entry, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.StoreTimeout)
	defer cancel()
	err := e.takeTurn(ctx)
	if err == nil {
		defer e.endTurn()
		err = do(ctx)
	}
	if err != nil {
		r.counters.storeErrors.Add(1)
		r.log.Warn("job store failed", "job", e.id, "error", err)
	}
	return err
}

// noteSaved remembers whether the store holds what it should. The caller has
// the turn, so the last note is about the last write.
func (r *Runner) noteSaved(e *entry, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !e.gone {
		r.unsaved[e] = struct{}{}
	} else {
		delete(r.unsaved, e)
	}
}

func (r *Runner) isErased(e *entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.erased
}

func (r *Runner) noteErased(e *entry, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.unerased[e] = struct{}{}
		return
	}
	delete(r.unerased, e)
	e.erased = true
	if e.phase == retained {
		r.setPhaseLocked(e, uncounted)
	}
}

// unindexLocked makes e unfindable and ends its writes. The caller must erase
// it afterwards.
func (r *Runner) unindexLocked(e *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return
	}
	e.gone = true
	delete(e.tally.jobs, e.id)
	r.dequeueLocked(e)
	r.deadlines.remove(e)
	delete(r.unsaved, e)
	wakeLocked(e.done)
}
