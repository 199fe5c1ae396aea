package audit

import (
	"bytes"
	"context"
	"runtime"
	"testing"
)

// What an append costs its caller when the disk keeps up: each run of a thousand
// is written outside of the measurement.
func BenchmarkAppend(b *testing.B) {
	for _, with := range []string{"arguments", "digest"} {
		b.Run(with, func(b *testing.B) {
			l := begin(b, Config{Fsync: FsyncNone})
			r := call(1)
			if with == "digest" {
				r.Arguments, r.Digest = nil, ArgumentsDigest(r.Arguments)
			}
			ctx := context.Background()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := l.Append(ctx, r); err != nil {
					b.Fatal(err)
				}
				if n++; n%1000 == 0 {
					b.StopTimer()
					for l.Stats().Queue > 0 {
						runtime.Gosched()
					}
					b.StartTimer()
				}
			}
		})
	}
}

// The whole path, writer included: what a machine can sustain.
func BenchmarkSustained(b *testing.B) {
	l := begin(b, Config{Fsync: FsyncInterval, MaxQueue: 1 << 16})
	ctx := context.Background()
	r := call(1)
	b.ReportAllocs()
	for b.Loop() {
		for l.Append(ctx, r) != nil { // the queue is full
			if err := l.Flush(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	end(b, l)
	b.ReportMetric(float64(l.Stats().LargestBatch), "records/batch")
}

// Callers that share fsyncs.
func BenchmarkAlways64(b *testing.B) {
	l := begin(b, Config{Fsync: FsyncAlways})
	ctx := context.Background()
	b.SetParallelism(32) // on 2 cores
	b.RunParallel(func(pb *testing.PB) {
		r := call(1)
		for pb.Next() {
			if err := l.Append(ctx, r); err != nil {
				b.Error(err)
				return
			}
		}
	})
	s := l.Stats()
	b.ReportMetric(float64(s.Appended)/float64(max(1, s.Syncs)), "records/fsync")
}

func BenchmarkVerify(b *testing.B) {
	l := begin(b, Config{})
	for n := range 5000 {
		add(b, l, call(n))
	}
	end(b, l)
	text := content(b, l.cfg.Dir)
	opts := keys(l)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if r, err := Verify(context.Background(), bytes.NewReader(text), "log", opts); err != nil || !r.OK {
			b.Fatal(err)
		}
	}
}
