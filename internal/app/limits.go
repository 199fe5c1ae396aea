package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lyceum-mcp/lyceum/internal/limit"
	"github.com/lyceum-mcp/lyceum/session"
)

// quotaKind is what the store calls the counters of daily quotas.
const quotaKind = "quota"

// openLimits makes what bounds the calls of tenants, owners and tokens. Quotas
// are counted in the store, if there is one.
func (a *App) openLimits() error {
	var source limit.Source
	if a.store != nil {
		source = limit.NewObjectSource(quotas{a.store})
	}
	var err error
	if a.limits, err = limit.New(a.cfg.Limits.Budgets(), source); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	a.undo.push("limits", a.limits.Close)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { a.limits.Run(ctx) })
	a.undo.push("sweeper of limits", func(context.Context) error { cancel(); wg.Wait(); return nil })
	return nil
}

// isBudget reports whether a setting is about budgets, which change while the
// server runs. The outer gate's, of the same section, do not.
func isBudget(name string) bool {
	return strings.HasPrefix(name, "limits.") && !slices.Contains([]string{"limits.per_address", "limits.per_token", "limits.window"}, name)
}

// quotas are the objects of a store that count quotas.
type quotas struct{ store session.Store }

func quotaKey(k limit.ObjectKey) session.ObjectKey {
	return session.ObjectKey{Kind: quotaKind, Owner: session.Owner{Tenant: k.Tenant, Issuer: k.Issuer, Subject: k.Subject}, ID: k.ID}
}

func (q quotas) LoadObject(ctx context.Context, k limit.ObjectKey) ([]byte, bool, error) {
	o, err := q.store.LoadObject(ctx, quotaKey(k))
	if errors.Is(err, session.ErrNoRecord) {
		return nil, false, nil
	}
	return o.Data, err == nil, err
}

func (q quotas) PutObject(ctx context.Context, objects ...limit.Object) error {
	all := make([]session.Object, len(objects))
	for i, o := range objects {
		all[i] = session.Object{ObjectKey: quotaKey(o.ObjectKey), Expires: o.Expires, Data: o.Data}
	}
	return q.store.PutObject(ctx, all...)
}
