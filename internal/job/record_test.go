package job_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/job/jobtest"
	"github.com/lyceum-mcp/lyceum/session"
)

func TestMemoryStore(t *testing.T) {
	jobtest.Run(t, func(*testing.T) job.Store { return job.NewMemoryStore() })
}

// dirStore keeps each record in a file: the smallest durable store there is,
// to prove the encoding and the suite.
type dirStore struct{ dir string }

func (s dirStore) file(o session.Owner, id job.ID) string {
	return filepath.Join(s.dir, hex.EncodeToString(fmt.Appendf(nil, "%q %q", o, id)))
}

func (s dirStore) Put(ctx context.Context, r job.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := r.MarshalBinary()
	if err != nil {
		return err
	}
	name := s.file(r.Key())
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (s dirStore) Delete(ctx context.Context, o session.Owner, id job.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(s.file(o, id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s dirStore) All(ctx context.Context) iter.Seq2[job.Record, error] {
	return func(yield func(job.Record, error) bool) {
		files, err := os.ReadDir(s.dir)
		for _, f := range files {
			if filepath.Ext(f.Name()) != "" {
				continue // being written
			}
			var r job.Record
			if err = ctx.Err(); err == nil {
				var b []byte
				if b, err = os.ReadFile(filepath.Join(s.dir, f.Name())); errors.Is(err, fs.ErrNotExist) {
					err = nil
					continue // deleted meanwhile
				} else if err == nil {
					err = r.UnmarshalBinary(b)
				}
			}
			if err != nil {
				break
			}
			if !yield(r, nil) {
				return
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(job.Record{}, err)
		}
	}
}

func TestEncodedStore(t *testing.T) {
	jobtest.Run(t, func(t *testing.T) job.Store { return dirStore{t.TempDir()} })
	jobtest.Durable(t, func(_ *testing.T, dir string) (job.Store, func() error) {
		return dirStore{dir}, func() error { return nil }
	})
}

// Records on disk are a promise: they must be readable by a later version.
func TestRecordFormatIsStable(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	r := job.Record{
		Job: job.Job{
			ID: "jb_1", Owner: session.Owner{Tenant: "acme", Subject: "alice"}, Operation: "mcts", Created: at, Updated: at,
			TTL: time.Hour, Expires: at.Add(time.Hour), State: job.Running, Attempts: 1, Seed: 7,
			Checkpoint: job.Checkpoint{At: at, Steps: 2, Data: []byte("[1, 2]")},
		},
		Input: []byte(`{ }`), Resumable: true,
	}
	want := "\x01\xe5\x02" + `{"id":"jb_1","owner":{"Tenant":"acme","Issuer":"","Subject":"alice"},"operation":"mcts",` +
		`"created":"2026-03-04T05:06:07.000000008Z","updated":"2026-03-04T05:06:07.000000008Z","ttl":3600000000000,` +
		`"expires":"2026-03-04T06:06:07.000000008Z","state":"running","attempts":1,"seed":7,` +
		`"checkpoint":{"at":"2026-03-04T05:06:07.000000008Z","steps":2},"resumable":true}` + "\x03{ }\x00\x06[1, 2]\x00"
	got, err := r.MarshalBinary()
	if err != nil || string(got) != want {
		t.Errorf("encoded as (%v)\n%q\nwant\n%q", err, got, want)
	}
	var back job.Record
	if err := back.UnmarshalBinary([]byte(want)); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("decoded as (%v)\n%+v\nwant\n%+v", err, back, r)
	}
	if r.Checkpoint.Data == nil || r.Input == nil {
		t.Error("encoding changed the record")
	}
}

// Whatever bytes a store holds, decoding them is an error or a record that
// encodes to something that decodes to itself.
func FuzzRecord(f *testing.F) {
	good, err := job.Record{Job: job.Job{ID: "jb_1", State: job.Queued, Result: []byte("1")}, Input: []byte("{}")}.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again job.Record
		if r.UnmarshalBinary(b) != nil {
			if !reflect.DeepEqual(r, job.Record{}) {
				t.Errorf("a failed decoding left %+v", r)
			}
			return
		}
		enc, err := r.MarshalBinary()
		if err != nil {
			return // a time that JSON cannot write, such as one in the year 10000
		}
		if err := again.UnmarshalBinary(enc); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		twice, err := again.MarshalBinary()
		if err != nil || !bytes.Equal(enc, twice) {
			t.Errorf("encoded as\n%q\nthen (%v)\n%q", enc, err, twice)
		}
	})
}

func TestDecodingRefuses(t *testing.T) {
	good, err := job.Record{Job: job.Job{ID: "jb_1", State: job.Queued}}.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	nameless, _ := job.Record{Job: job.Job{State: job.Queued}}.MarshalBinary()
	stateless, _ := job.Record{Job: job.Job{ID: "jb_1"}}.MarshalBinary()
	for name, b := range map[string][]byte{
		"nothing": nil, "another format": append([]byte{9}, good[1:]...), "cut off": good[:len(good)-1],
		"too long": append(bytes.Clone(good), 'x'), "not JSON": {1, 1, '{', 0, 0, 0, 0},
		"no id": nameless, "no state": stateless,
	} {
		var r job.Record
		if err := r.UnmarshalBinary(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
}
