package limit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// ObjectKey names an object that belongs to an owner, or to a tenant if Issuer and
// Subject are empty.
type ObjectKey struct {
	Tenant, Issuer, Subject string
	ID                      string // "calls_day.2026-11-24"
}

// Object is bytes under a key, which may be deleted once they have expired.
type Object struct {
	ObjectKey
	Expires time.Time
	Data    []byte
}

// Objects keeps objects of one kind: the part of a store that quotas need.
type Objects interface {
	// LoadObject returns an object's data, and false if there is none.
	LoadObject(ctx context.Context, k ObjectKey) (data []byte, ok bool, err error)
	// PutObject creates or replaces objects, all or none, durably.
	PutObject(ctx context.Context, objects ...Object) error
}

// objectSource keeps each record as an object.
type objectSource struct{ objects Objects }

// NewObjectSource returns a Source that keeps its records in objects, as JSON.
func NewObjectSource(objects Objects) Source { return objectSource{objects} }

// stored is how a record is written. Version 1.
type stored struct {
	Version int   `json:"v"`
	Used    int64 `json:"used"`
}

func objectKey(k Key) ObjectKey {
	return ObjectKey{Tenant: k.Tenant, Issuer: k.Issuer, Subject: k.Subject, ID: k.Quota + "." + k.Start().Format(time.DateOnly)}
}

// Load implements Source. A record that cannot be read is an error, not a quota
// that nobody used.
func (s objectSource) Load(ctx context.Context, k Key) (int64, error) {
	id := objectKey(k)
	data, ok, err := s.objects.LoadObject(ctx, id)
	if err != nil || !ok {
		return 0, err
	}
	var r stored
	if err := json.Unmarshal(data, &r); err != nil {
		return 0, fmt.Errorf("quota %s: %w", id.ID, err)
	}
	if r.Version != 1 || r.Used < 0 {
		return 0, fmt.Errorf("quota %s: the record has version %d and %d used, want version 1 and no less than 0", id.ID, r.Version, r.Used)
	}
	return r.Used, nil
}

// Save implements Source.
func (s objectSource) Save(ctx context.Context, records []Record) error {
	objects := make([]Object, len(records))
	for i, r := range records {
		data, err := json.Marshal(stored{Version: 1, Used: r.Used})
		if err != nil {
			return err
		}
		objects[i] = Object{ObjectKey: objectKey(r.Key), Expires: r.Expires, Data: data}
	}
	return s.objects.PutObject(ctx, objects...)
}
