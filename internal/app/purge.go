package app

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// stopWait is how long a purge waits for a job that it has canceled.
const stopWait = 5 * time.Second

// purge ends and deletes all that belongs to a subject of a tenant: sessions of
// both kinds, the grants of other people's sessions, jobs, and kept results. Where o has no issuer it is whoever
// vouches for the subject. What was deleted is counted also when a later step
// fails; doing it again goes on.
func (a *App) purge(ctx context.Context, o session.Owner) (n api.PurgeCount, err error) {
	owners := map[session.Owner]bool{}
	meant := func(is session.Owner) bool {
		return is.Tenant == o.Tenant && is.Subject == o.Subject && (o.Issuer == "" || is.Issuer == o.Issuer)
	}
	if o.Issuer != "" {
		owners[o] = true
	}
	for _, d := range []*session.Directory{a.sessions, a.transports} {
		for info := range d.All() {
			if !meant(info.Owner) {
				continue
			}
			owners[info.Owner] = true
			switch err := d.EndRef(ctx, info.Ref, session.ReasonOperator); {
			case err == nil && d == a.sessions:
				n.Sessions++
			case err != nil && fault.KindOf(err) != fault.NotFound: // it may have ended by itself
				return n, err
			}
		}
	}
	if _, err := a.sessions.RevokeAll(ctx, meant); err != nil {
		return n, err
	}
	if a.store != nil {
		for _, kind := range []string{"job", "result"} {
			for obj, err := range a.store.Objects(ctx, kind, nil) {
				if err != nil {
					return n, err
				}
				if meant(obj.Owner) {
					owners[obj.Owner] = true
				}
			}
		}
	}
	for is := range owners {
		if err := a.purgeJobs(ctx, is, &n.Jobs); err != nil {
			return n, err
		}
		forgotten, err := a.journal.Forget(ctx, is)
		n.Results += forgotten
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (a *App) purgeJobs(ctx context.Context, o session.Owner, n *int) error {
	for _, j := range a.jobs.List(o) {
		if _, _, err := a.jobs.Cancel(ctx, o, j.ID); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if _, err := a.jobs.Wait(ctx, o, j.ID, stopWait); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err := a.jobs.Delete(ctx, o, j.ID); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		*n++
	}
	return nil
}
