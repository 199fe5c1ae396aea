package work

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func BenchmarkAcquireRelease(b *testing.B) {
	s := New(Config{Tickets: 2})
	ctx := b.Context()
	claim := Claim{Tenant: "acme", Subject: "alice", Session: "rs_1", Lane: Interactive}
	b.ReportAllocs()
	for b.Loop() {
		ticket, err := s.Acquire(ctx, claim)
		if err != nil {
			b.Fatal(err)
		}
		ticket.Release()
	}
}

func BenchmarkContended64(b *testing.B) {
	s := New(Config{Tickets: 2})
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	tenants := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for i := range 63 {
		wg.Go(func() {
			claim := Claim{Tenant: tenants[i%8], Subject: tenants[i/8], Lane: Interactive}
			for {
				ticket, err := s.Acquire(ctx, claim)
				if err != nil {
					return
				}
				ticket.Release()
			}
		})
	}
	claim := Claim{Tenant: "a", Subject: "z", Lane: Interactive}
	b.ReportAllocs()
	before := s.Stats().Granted
	for b.Loop() {
		ticket, err := s.Acquire(ctx, claim)
		if err != nil {
			b.Fatal(err)
		}
		ticket.Release()
	}
	granted := s.Stats().Granted - before
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(granted), "ns/grant")
}

func BenchmarkYieldNobodyWaits(b *testing.B) {
	s := New(Config{Tickets: 1})
	ctx := b.Context()
	ticket, err := s.Acquire(ctx, Claim{Tenant: "a", Lane: Interactive})
	if err != nil {
		b.Fatal(err)
	}
	defer ticket.Release()
	b.ReportAllocs()
	for b.Loop() {
		if err := ticket.Yield(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkYieldNotDue(b *testing.B) {
	s := New(Config{Tickets: 1, Quantum: time.Hour})
	yieldWhileWaited(b, s)
}

// BenchmarkYieldDue hands the turn over and gets it back: two switches.
func BenchmarkYieldDue(b *testing.B) {
	s := New(Config{Tickets: 1, Quantum: 1})
	yieldWhileWaited(b, s)
}

func yieldWhileWaited(b *testing.B, s *Scheduler) {
	ctx, cancel := context.WithCancel(b.Context())
	ticket, err := s.Acquire(ctx, Claim{Tenant: "a", Lane: Interactive})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		other, err := s.Acquire(ctx, Claim{Tenant: "b", Lane: Interactive})
		for err == nil {
			err = other.Yield(ctx)
		}
		other.Release()
	})
	for s.Stats().Queued == 0 {
		runtime.Gosched()
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := ticket.Yield(ctx); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	ticket.Release()
	wg.Wait()
}

// BenchmarkRefusal refuses the flooder when 4096 calls of 64 tenants wait.
func BenchmarkRefusal(b *testing.B) {
	q := fullQueue(64)
	j := newJob("t00/new", Interactive)
	b.ReportAllocs()
	for b.Loop() {
		if q.full(j) != queueFull || q.excess(j) != nil {
			b.Fatal("the queue has room")
		}
		_ = queueFull.fault(time.Second)
	}
}

// BenchmarkPushOut makes room for a quiet tenant when 4096 calls of 64 tenants
// wait, and puts the two back.
func BenchmarkPushOut(b *testing.B) {
	q := fullQueue(64)
	quiet := newJob("quiet", Interactive)
	b.ReportAllocs()
	for b.Loop() {
		out := q.excess(quiet)
		q.remove(out, 0)
		q.push(quiet, 0)
		q.remove(quiet, 0)
		q.push(out, 0)
	}
}

// fullQueue returns a queue that the same number of calls of each tenant fill.
func fullQueue(tenants int) *queue {
	p := testPolicy()
	p.maxQueued = DefaultMaxQueued
	q := newQueue(p)
	for i := range DefaultMaxQueued {
		q.push(newJob(fmt.Sprintf("t%02d/u/s%d", i%tenants, i%512), Interactive), 0)
	}
	return q
}
