package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
)

// fill opens n sessions of owners with perOwner sessions each, spread over
// tenants, and returns whose they are.
func fill(tb testing.TB, d *Directory, n, perOwner, tenants int) (owners []Owner, ids []ID) {
	tb.Helper()
	owners, ids = make([]Owner, n), make([]ID, n)
	for i := range n {
		if i%perOwner == 0 {
			owners[i] = Owner{Tenant: fmt.Sprintf("tenant-%d", i%tenants), Issuer: "https://issuer.example", Subject: fmt.Sprintf("subject-%08d", i)}
		} else {
			owners[i] = owners[i-1]
		}
		h, err := d.Open(tb.Context(), owners[i], Params{Client: Client{Name: "bench", Version: "1", Revision: "2025-11-25", Transport: "http"}})
		if err != nil {
			tb.Fatal(err)
		}
		ids[i] = h.ID()
		h.Release()
	}
	return owners, ids
}

func BenchmarkAcquireRelease(b *testing.B) {
	d := New(Config{}, nil)
	owners, ids := fill(b, d, 1, 1, 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		h, err := d.Acquire(ctx, owners[0], ids[0])
		if err != nil {
			b.Fatal(err)
		}
		h.Release()
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			d := New(Config{MaxPerTenant: n, MaxTotal: n}, nil)
			owners, ids := fill(b, d, n, 4, 16)
			var worker atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				rng := rand.New(rand.NewPCG(1, worker.Add(1)))
				for pb.Next() {
					i := rng.IntN(n)
					h, err := d.Acquire(context.Background(), owners[i], ids[i])
					if err != nil {
						b.Error(err)
						return
					}
					h.Release()
				}
			})
		})
	}
}

func BenchmarkAcquireMiss(b *testing.B) {
	d := New(Config{}, nil)
	owners, _ := fill(b, d, 1000, 4, 16)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Acquire(ctx, owners[7], "rs_nothing"); err == nil {
			b.Fatal("found nothing")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	open := func(b *testing.B, d *Directory) {
		ctx := b.Context()
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			o := Owner{Tenant: "t", Issuer: "i", Subject: fmt.Sprint(i % 1000)}
			h, err := d.Open(ctx, o, Params{})
			if err != nil {
				b.Fatal(err)
			}
			h.Release()
		}
	}
	b.Run("owner cap", func(b *testing.B) { open(b, New(Config{MaxPerOwner: 4}, nil)) })
	b.Run("tenant cap", func(b *testing.B) {
		d := New(Config{MaxPerTenant: 10_000}, nil)
		fill(b, d, 10_000, 1, 1)
		open(b, d)
	})
	b.Run("global cap", func(b *testing.B) {
		d := New(Config{MaxPerTenant: 10_000, MaxTotal: 10_000}, nil)
		fill(b, d, 10_000, 4, 16)
		open(b, d)
	})
}

type benchState struct {
	Steps []string       `json:"steps"`
	Count map[string]int `json:"count"`
}

func BenchmarkSlotUpdate(b *testing.B) {
	slot := NewSlot[benchState]("bench")
	for _, steps := range []int{1, 100} {
		b.Run(fmt.Sprintf("steps=%d", steps), func(b *testing.B) {
			d := New(Config{}, nil)
			owners, ids := fill(b, d, 1, 1, 1)
			ctx := b.Context()
			h, err := d.Acquire(ctx, owners[0], ids[0])
			if err != nil {
				b.Fatal(err)
			}
			defer h.Release()
			state := benchState{Count: map[string]int{}}
			for i := range steps {
				state.Steps = append(state.Steps, fmt.Sprintf("step %d of a chain of thought", i))
			}
			if err := slot.Commit(ctx, h, 0, state); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := slot.Update(ctx, h, func(s *benchState) error { s.Count["n"]++; return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdleMemory reports the heap that one idle session without state
// takes, its strings, its owner and its place in every index included.
func BenchmarkIdleMemory(b *testing.B) {
	const n = 100_000
	for _, c := range []struct{ perOwner, tenants int }{{1, 1}, {1, 100}, {10, 100}} {
		b.Run(fmt.Sprintf("sessions=%d/perOwner=%d/tenants=%d", n, c.perOwner, c.tenants), func(b *testing.B) {
			for b.Loop() {
				before, goroutines := heapInUse(), runtime.NumGoroutine()
				d := New(Config{MaxPerTenant: n, MaxTotal: n}, nil)
				fill(b, d, n, c.perOwner, c.tenants)
				b.ReportMetric(float64(heapInUse()-before)/n, "bytes/session")
				b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
				if got := d.Stats().Idle; got != n {
					b.Fatalf("%d idle sessions, want %d", got, n)
				}
			}
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
