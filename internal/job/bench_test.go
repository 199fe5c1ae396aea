package job

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

// BenchmarkInline is what a short call pays for being a job: a record written
// and removed, a goroutine, and the hand-over, without a disk.
func BenchmarkInline(b *testing.B) {
	r := open(b, Config{}, NewMemoryStore())
	spec := instant(alice, `{"answer": 42}`, nil)
	b.ReportAllocs()
	for b.Loop() {
		h, err := r.Start(context.Background(), spec)
		if err != nil {
			b.Fatal(err)
		}
		if _, done := h.Inline(context.Background(), time.Minute); !done {
			b.Fatal("not delivered")
		}
	}
}

// BenchmarkDue is what a loop pays for asking each time.
func BenchmarkDue(b *testing.B) {
	r := open(b, Config{}, NewMemoryStore())
	o := newOp()
	begin(b, r, o, o.spec(alice))
	o.do(func(_ context.Context, run *Run) {
		for b.Loop() {
			if run.Due() && b.N < 0 {
				b.Error("the loop has to use the answer")
			}
		}
	})
	o.end("1", nil)
}

// BenchmarkProgress reports in a tight loop: nearly all reports are merged.
func BenchmarkProgress(b *testing.B) {
	r := open(b, Config{}, NewMemoryStore())
	o := newOp()
	begin(b, r, o, o.spec(alice))
	b.ReportAllocs()
	o.do(func(_ context.Context, run *Run) {
		for b.Loop() {
			run.Progress(1, 2, "half")
		}
	})
	o.end("1", nil)
}

// BenchmarkRecord encodes and decodes a record with a checkpoint of 64 KiB.
func BenchmarkRecord(b *testing.B) {
	rec := Record{Job: Job{ID: "jb_1", Owner: alice, State: Running, Created: now(), Checkpoint: Checkpoint{Data: make(json.RawMessage, 64<<10)}}}
	b.SetBytes(64 << 10)
	for b.Loop() {
		enc, err := rec.MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		var back Record
		if err := back.UnmarshalBinary(enc); err != nil {
			b.Fatal(err)
		}
	}
}
