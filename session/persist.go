package session

import "context"

// Persist stores the session id of o if there is a store and it is not in it
// yet, as Params.Durable does: for a session that something durable is to refer
// to. It may be one that is granted to o. It is no use of the session. A miss is answered as by Acquire; it is
// Unavailable if the store fails.
func (d *Directory) Persist(ctx context.Context, o Owner, id ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := d.shardOf(o)
	s.mu.Lock()
	e, p := s.lookupLocked(o, id, d.now())
	s.mu.Unlock()
	p.finish()
	if e == nil {
		if err := d.visit(o, id, func(_ *shard, granted *entry) { e = granted }); err != nil {
			return err
		}
	}
	return d.keep.persist(e)
}

// persist stores e unless it is stored.
func (k *keeper) persist(e *entry) error {
	if k == nil {
		return nil
	}
	c, first, doomed := k.prepare(e)
	switch {
	case doomed:
		return errMiss
	case !first:
		return nil
	}
	err := k.call(context.Background(), "create", func(ctx context.Context) error { return k.store.Save(ctx, c) })
	if k.created(e, err) {
		return errMiss
	}
	if err != nil {
		return unavailable(err, "the session could not be stored")
	}
	return nil
}
