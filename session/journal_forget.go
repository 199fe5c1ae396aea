package session

import "context"

// Forget drops what is kept of the finished calls of o, from memory and store,
// and returns of how many. Those that run go on, and are kept when they are done.
func (j *Journal) Forget(ctx context.Context, o Owner) (n int, err error) {
	if err := j.lockLoaded(ctx, o); err != nil {
		return 0, err
	}
	if own := j.owners[o]; own != nil {
		for own.records != nil && j.dropOldestLocked(own) {
			n++
		}
	}
	dropped := j.takeDroppedLocked()
	j.mu.Unlock()
	if j.store == nil {
		return n, nil
	}
	if err := j.bury(ctx, dropped); err != nil {
		return n, noJournal(err)
	}
	return n, nil
}
