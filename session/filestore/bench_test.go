package filestore

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/session"
)

// benchValue is a slot of 4 KiB.
var benchValue = make([]byte, 4<<10)

const benchSessions = 1024

func BenchmarkSave(b *testing.B) {
	for name, cfg := range configs {
		for _, c := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/c=%d", name, c), func(b *testing.B) {
				cfg.Dir = b.TempDir()
				s := openIn(b, cfg)
				var next atomic.Int64
				parallel(b, c, func(int) error {
					id := next.Add(1)
					return s.Save(b.Context(), session.Change{
						Record: session.Record{Key: key(fmt.Sprint("rs_", id)), Version: 1, Expires: epoch},
						Create: true, Put: []session.Cell{{Name: "x", Version: 1, Data: benchValue}},
					})
				})
			})
		}
	}
}

// BenchmarkUpdate is what the library does by itself, for comparison: one value
// of 4 KiB in one transaction of its own.
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("c=%d", c), func(b *testing.B) {
			db, err := bolt.Open(filepath.Join(b.TempDir(), "x.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			var next atomic.Int64
			parallel(b, c, func(int) error {
				id := next.Add(1)
				return db.Update(func(tx *bolt.Tx) error {
					bucket, err := tx.CreateBucketIfNotExists([]byte("x"))
					if err != nil {
						return err
					}
					return bucket.Put(fmt.Append(nil, "rs_", id), benchValue)
				})
			})
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, cfg := range configs {
		b.Run(name, func(b *testing.B) {
			cfg.Dir = b.TempDir()
			s := openIn(b, cfg)
			var all []session.Change
			for i := range benchSessions {
				all = append(all, session.Change{
					Record: session.Record{Key: key(fmt.Sprint("rs_", i)), Version: 1, Expires: epoch},
					Create: true, Put: []session.Cell{{Name: "x", Version: 1, Data: benchValue}},
				})
			}
			if err := s.Save(b.Context(), all...); err != nil {
				b.Fatal(err)
			}
			parallel(b, 16, func(n int) error {
				_, err := s.Load(b.Context(), key(fmt.Sprint("rs_", n%benchSessions)))
				return err
			})
		})
	}
}

// parallel calls op from c goroutines, with numbers of a sequence of each.
func parallel(b *testing.B, c int, op func(n int) error) {
	b.Helper()
	b.SetParallelism(max(1, c/runtime.GOMAXPROCS(0)))
	var stream atomic.Uint64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		rng := rand.New(rand.NewPCG(stream.Add(1), 0))
		for pb.Next() {
			if err := op(rng.IntN(1 << 30)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
