package app

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/session"
)

// measuredStore times what a store does, and makes it a span of a call whose spans
// are kept. Iterators are not timed: they last as long as their loop.
type measuredStore struct {
	session.Store
	tracer  trace.Tracer
	latency metric.Float64Histogram
	sets    map[storeOutcome]metric.MeasurementOption
}

type storeOutcome struct{ operation, outcome string }

// Outcomes of a call of the store. A record that is not there is an answer.
const (
	storeOK    = "ok"
	storeStale = "stale" // somebody else has written the session
	storeError = "error"
)

var storeOperations = []string{"load", "save", "touch", "delete", "put_object", "load_object", "delete_object", "expired"}

func (m *meters) store(s session.Store) session.Store {
	if s == nil {
		return nil
	}
	out := &measuredStore{Store: s, tracer: m.tracer, latency: m.storeLatency, sets: map[storeOutcome]metric.MeasurementOption{}}
	for _, op := range storeOperations {
		for _, end := range []string{storeOK, storeStale, storeError} {
			out.sets[storeOutcome{op, end}] = metric.WithAttributeSet(attribute.NewSet(attribute.String("operation", op), attribute.String("outcome", end)))
		}
	}
	return out
}

// inner returns the store that s measures, or s itself.
func inner(s session.Store) session.Store {
	if m, ok := s.(*measuredStore); ok {
		return m.Store
	}
	return s
}

func (s *measuredStore) time(ctx context.Context, operation string, do func(context.Context) error) error {
	var span trace.Span
	if trace.SpanFromContext(ctx).IsRecording() {
		ctx, span = s.tracer.Start(ctx, "store "+operation, trace.WithAttributes(attribute.String("lyceum.store.operation", operation)))
		defer span.End()
	}
	begin := time.Now()
	err := do(ctx)
	end := storeOK
	if _, stale := errors.AsType[*session.StaleError](err); stale {
		end = storeStale
	} else if err != nil && !errors.Is(err, session.ErrNoRecord) {
		end = storeError
	}
	s.latency.Record(ctx, time.Since(begin).Seconds(), s.sets[storeOutcome{operation, end}])
	if span != nil && end == storeError {
		span.SetStatus(codes.Error, "the store failed")
	}
	return err
}

// Load implements session.Store.
func (s *measuredStore) Load(ctx context.Context, k session.Key) (snap session.Snapshot, err error) {
	err = s.time(ctx, "load", func(ctx context.Context) error { snap, err = s.Store.Load(ctx, k); return err })
	return snap, err
}

// Save implements session.Store.
func (s *measuredStore) Save(ctx context.Context, changes ...session.Change) error {
	return s.time(ctx, "save", func(ctx context.Context) error { return s.Store.Save(ctx, changes...) })
}

// Touch implements session.Store.
func (s *measuredStore) Touch(ctx context.Context, uses ...session.Use) error {
	return s.time(ctx, "touch", func(ctx context.Context) error { return s.Store.Touch(ctx, uses...) })
}

// Delete implements session.Store.
func (s *measuredStore) Delete(ctx context.Context, keys ...session.Key) error {
	return s.time(ctx, "delete", func(ctx context.Context) error { return s.Store.Delete(ctx, keys...) })
}

// PutObject implements session.Store.
func (s *measuredStore) PutObject(ctx context.Context, objects ...session.Object) error {
	return s.time(ctx, "put_object", func(ctx context.Context) error { return s.Store.PutObject(ctx, objects...) })
}

// LoadObject implements session.Store.
func (s *measuredStore) LoadObject(ctx context.Context, k session.ObjectKey) (o session.Object, err error) {
	err = s.time(ctx, "load_object", func(ctx context.Context) error { o, err = s.Store.LoadObject(ctx, k); return err })
	return o, err
}

// DeleteObject implements session.Store.
func (s *measuredStore) DeleteObject(ctx context.Context, keys ...session.ObjectKey) error {
	return s.time(ctx, "delete_object", func(ctx context.Context) error { return s.Store.DeleteObject(ctx, keys...) })
}

// Expired implements session.Store.
func (s *measuredStore) Expired(ctx context.Context, t time.Time, limit int) (keys []session.Key, objects []session.ObjectKey, err error) {
	err = s.time(ctx, "expired", func(ctx context.Context) error { keys, objects, err = s.Store.Expired(ctx, t, limit); return err })
	return keys, objects, err
}
