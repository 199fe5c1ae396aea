package job_test

import (
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/job/jobtest"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/memstore"
)

func TestObjectStore(t *testing.T) {
	jobtest.Run(t, func(*testing.T) job.Store { return job.NewObjectStore(memstore.New()) })
}

// The expiry index of the session store gets the record's expiry, so that it
// finds jobs whose process never came back.
func TestObjectStoreExpiry(t *testing.T) {
	objects := memstore.New()
	rec := job.Record{Job: job.Job{ID: "jb_1", Owner: session.Owner{Subject: "alice"}, State: job.Queued, Expires: time.Unix(99, 0).UTC()}}
	if err := job.NewObjectStore(objects).Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	_, due, err := objects.Expired(t.Context(), time.Unix(100, 0), 10)
	if want := (session.ObjectKey{Kind: "job", Owner: rec.Owner, ID: "jb_1"}); err != nil || len(due) != 1 || due[0] != want {
		t.Errorf("expired %v, %v", due, err)
	}
}

// A record that lies under another owner's key is damage, and nobody's job.
func TestObjectStoreRefusesForeignRecords(t *testing.T) {
	rec := job.Record{Job: job.Job{ID: "jb_1", Owner: session.Owner{Subject: "alice"}, State: job.Queued}}
	data, err := rec.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []session.Object{
		{ObjectKey: session.ObjectKey{Kind: "job", Owner: session.Owner{Subject: "mallory"}, ID: "jb_1"}, Data: data},
		{ObjectKey: session.ObjectKey{Kind: "job", Owner: rec.Owner, ID: "jb_2"}, Data: data},
		{ObjectKey: session.ObjectKey{Kind: "job", Owner: rec.Owner, ID: "jb_1"}, Data: data[:len(data)-1]},
	} {
		objects := memstore.New()
		if err := objects.PutObject(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		failed := false
		for _, err := range job.NewObjectStore(objects).All(t.Context()) {
			failed = err != nil
		}
		if !failed {
			t.Errorf("took %v", bad.ObjectKey)
		}
	}
}
