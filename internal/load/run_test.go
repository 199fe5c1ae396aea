package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A closed loop reproduces the distribution of what the server takes.
func TestClosedLoopReproducesTheLatencies(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, n int, m *received) {
		after(time.Duration(n*37%100+1)*time.Millisecond)(w, r, n, m) // 1 to 100 ms, each once in 100 calls
	}}
	bubble(t, s, Plan{Groups: one(Group{}), Duration: 101 * time.Second}, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		if g.Latency.Count != 2000 || g.Outcomes["ok"] != 2000 || g.Due != 2000 {
			t.Errorf("%d good answers of %d, want 2000: 101 s at a mean of 50.5 ms", g.Latency.Count, g.Due)
		}
		about(t, "mean", g.Latency.Mean, 50.5, 0.001)
		about(t, "p50", g.Latency.P50, 50, 0.01)
		about(t, "p90", g.Latency.P90, 90, 0.01)
		about(t, "p95", g.Latency.P95, 95, 0.01)
		about(t, "p99", g.Latency.P99, 99, 0.01)
		about(t, "p99.9", g.Latency.P999, 100, 0.01)
		about(t, "min", g.Latency.Min, 1, 0)
		about(t, "max", g.Latency.Max, 100, 0)
		about(t, "goodput", g.Goodput, 1000/50.5, 0.001)
		about(t, "errors", g.Errors, 0, 0)
		if r.EndedBy != "duration" || r.Phases[0].MeasuredS != 101 {
			t.Errorf("ended by %s after %g s", r.EndedBy, r.Phases[0].MeasuredS)
		}
	})
}

func TestConnectionsWorkAtOnce(t *testing.T) {
	s := &server{serve: after(10 * time.Millisecond)}
	bubble(t, s, Plan{Groups: one(Group{Connections: 20}), Duration: time.Second}, func(t *testing.T, r *Report) {
		about(t, "goodput of 20 connections", r.Phases[0].Total.Goodput, 2000, 0)
	})
}

func TestWarmupIsNotMeasured(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, n int, m *received) {
		d := 10 * time.Millisecond
		if n < 4 {
			d = 250 * time.Millisecond
		}
		after(d)(w, r, n, m)
	}}
	for name, rate := range map[string]float64{"closed": 0, "open": 50} {
		t.Run(name, func(t *testing.T) {
			// In the open loop the 50 calls that queue up in the first second are worked off in the next.
			p := Plan{Groups: one(Group{Rate: rate}), Warmup: 2 * time.Second, Duration: time.Second}
			if rate == 0 {
				p.Warmup = time.Second
			}
			s.calls = 0
			bubble(t, s, p, func(t *testing.T, r *Report) {
				g := r.Phases[0].Groups[0]
				about(t, "max", g.Latency.Max, 10, 0)
				if g.Warmup == 0 || g.Due+g.Warmup != uint64(s.calls) {
					t.Errorf("%d measured and %d warming up, the server saw %d", g.Due, g.Warmup, s.calls)
				}
			})
		})
	}
}

// An open loop keeps its schedule whatever the server does, and the schedule is
// that of the seed.
func TestOpenLoopSendsOnTime(t *testing.T) {
	for _, poisson := range []bool{false, true} {
		s := &server{serve: after(300 * time.Millisecond)}
		p := Plan{Groups: one(Group{Connections: 64, Rate: 40}), Duration: 5 * time.Second, Poisson: poisson, Seed: 9}
		bubble(t, s, p, func(t *testing.T, r *Report) {
			calls := s.of("tools/call")
			schedule := newArrivals(40, poisson, p.Groups[0].Mix, stream(9, 0, -1))
			for i, c := range calls {
				if due := schedule.take().due; c.at != due {
					t.Fatalf("poisson %v: call %d was sent at %s, due at %s", poisson, i, c.at, due)
				}
			}
			if due := schedule.take().due; due < 5*time.Second {
				t.Errorf("poisson %v: the call due at %s was never sent", poisson, due)
			}
			g := r.Phases[0].Groups[0]
			about(t, "p99", g.Latency.P99, 300, 0.01)
			if g.Late != 0 || g.Outcomes["unsent"] != 0 || g.Lag.Count != g.Due || *g.Lag.Max != 0 {
				t.Errorf("late %d, unsent %d, lag %+v", g.Late, g.Outcomes["unsent"], g.Lag)
			}
		})
	}
}

// stalling answers at once, but from the second to the third second not at all.
func stalling(s *server) func(http.ResponseWriter, *http.Request, int, *received) {
	return func(w http.ResponseWriter, r *http.Request, _ int, m *received) {
		now := time.Since(s.start)
		if now >= time.Second && now < 2*time.Second && !pause(r.Context(), 2*time.Second-now) {
			return
		}
		good(w, m)
	}
}

// Coordinated omission: a server that stalls for one of four seconds makes a
// quarter of an open loop's callers wait, for half a second on average. A closed
// loop asks it once and sees nothing.
func TestOpenLoopChargesTheStallToEverybodyWhoWaited(t *testing.T) {
	s := &server{}
	s.serve = stalling(s)
	bubble(t, s, Plan{Groups: one(Group{Rate: 1000}), Duration: 4 * time.Second}, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		if g.Latency.Count != 4000 || g.Outcomes["unsent"] != 0 {
			t.Fatalf("%d answers, %d unsent, want all 4000", g.Latency.Count, g.Outcomes["unsent"])
		}
		about(t, "mean", g.Latency.Mean, 125, 0.01)
		about(t, "p50", g.Latency.P50, 0.001, 0) // the least that a histogram tells
		about(t, "p90", g.Latency.P90, 600, 0.01)
		about(t, "p99", g.Latency.P99, 960, 0.01)
		about(t, "max", g.Latency.Max, 1000, 0.002)
		if g.Late < 980 || g.Late > 1000 {
			t.Errorf("%d calls were late, want those of a second but for the last 10 ms", g.Late)
		}
	})
	closed := &server{}
	closed.serve = func(w http.ResponseWriter, r *http.Request, n int, m *received) {
		if pause(r.Context(), time.Millisecond) {
			stalling(closed)(w, r, n, m)
		}
	}
	bubble(t, closed, Plan{Groups: one(Group{}), Duration: 4 * time.Second}, func(t *testing.T, r *Report) {
		about(t, "p99 of a closed loop", r.Phases[0].Groups[0].Latency.P99, 1, 0.01)
	})
}

// One connection, 10 ms for each call and Poisson arrivals are an M/D/1 queue:
// at load ρ a call waits ρ/(2(1−ρ)) service times on average (Pollaczek 1930).
func TestOpenLoopIsTheQueueOfTheBook(t *testing.T) {
	s := &server{serve: after(10 * time.Millisecond)}
	p := Plan{Groups: one(Group{Rate: 50}), Warmup: 10 * time.Second, Duration: 200 * time.Second, Poisson: true, Seed: 4}
	bubble(t, s, p, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		about(t, "goodput", g.Goodput, 50, 0.02)
		about(t, "mean latency at ρ = 0.5", g.Latency.Mean, 15, 0.04)
	})
}

// What cannot be sent before the end is counted, and a quantile among it is not
// known.
func TestUnsentCallsAreCounted(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, n int, m *received) {
		if n < 60 || pause(r.Context(), 1500*time.Millisecond) {
			good(w, m)
		}
	}}
	p := Plan{Groups: one(Group{Rate: 100}), Duration: time.Second, Checks: []Check{{What: MaxP99, Limit: 1e9}, {What: MaxErrors, Limit: 0.4}}}
	bubble(t, s, p, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		if g.Due != 100 || g.Outcomes["ok"] != 61 || g.Outcomes["unsent"] != 39 || s.calls != 61 {
			t.Errorf("due %d, outcomes %v, the server saw %d", g.Due, g.Outcomes, s.calls)
		}
		if g.Latency.Beyond != 39 || g.Latency.P50 == nil || g.Latency.P90 != nil || g.Latency.P99 != nil {
			t.Errorf("latency %+v: p50 is known, p90 is not", g.Latency)
		}
		about(t, "errors", g.Errors, 0.39, 0)
		if r.Checks[0].OK || r.Checks[0].Got != nil || !r.Checks[1].OK || r.Passed() {
			t.Errorf("checks %+v: a p99 that is not known must not pass", r.Checks)
		}
	})
}

func TestRunEndsAfterItsCalls(t *testing.T) {
	for name, rate := range map[string]float64{"closed": 0, "open": 100} {
		s := &server{serve: after(5 * time.Millisecond)}
		p := Plan{Groups: one(Group{Connections: 3, Rate: rate, Name: name}), Duration: 10 * time.Second, MaxCalls: 1000, Poisson: true, Seed: 2}
		if rate == 0 {
			p.MaxCalls = 77
		}
		bubble(t, s, p, func(t *testing.T, r *Report) {
			g := r.Phases[0].Groups[0]
			if s.calls > p.MaxCalls || g.Outcomes["ok"] != uint64(s.calls) {
				t.Errorf("%s: the server saw %d calls, %v", name, s.calls, g.Outcomes)
			}
			if rate == 0 && (s.calls != 77 || r.EndedBy != "max_calls" || r.Phases[0].MeasuredS > 0.2) {
				t.Errorf("%s: %d calls, ended by %s after %g s", name, s.calls, r.EndedBy, r.Phases[0].MeasuredS)
			}
		})
	}
	// A Poisson process may bring more arrivals than the limit: the run ends early and says so.
	s := &server{}
	p := Plan{Groups: one(Group{Connections: 2, Rate: 100}), Duration: time.Second, MaxCalls: 100, Poisson: true}
	for p.Seed = 0; ; p.Seed++ { // a seed with more
		n, a := 0, newArrivals(100, true, p.Groups[0].Mix, stream(p.Seed, 0, -1))
		for a.take().due < time.Second {
			n++
		}
		if n > 110 {
			break
		}
	}
	bubble(t, s, p, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		if r.EndedBy != "max_calls" || g.Outcomes["ok"] != 100 || g.Due != 100 || r.Phases[0].MeasuredS > 0.95 {
			t.Errorf("ended by %s after %g s with %v, want 100 good answers", r.EndedBy, r.Phases[0].MeasuredS, g.Outcomes)
		}
	})
}

func TestInterruptedRunReportsWhatItHas(t *testing.T) {
	stopped := func(at time.Duration, s *server, p Plan) (r *Report, took time.Duration, err error) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), at)
			defer cancel()
			began := time.Now()
			r, err = attack(ctx, s, p)
			took = time.Since(began)
		})
		return r, took, err
	}
	for name, rate := range map[string]float64{"closed": 0, "open": 20} {
		p := Plan{Groups: one(Group{Connections: 4, Rate: rate}), Warmup: time.Second, Duration: time.Hour / 2, Timeout: time.Minute}
		r, took, err := stopped(2990*time.Millisecond, &server{serve: after(100 * time.Millisecond)}, p)
		if err != nil || took != 2990*time.Millisecond || r.EndedBy != "interrupt" {
			t.Fatalf("%s: %v, took %s: %+v", name, err, took, r)
		}
		g := r.Phases[0].Groups[0]
		if r.Phases[0].MeasuredS != 1.99 || g.Outcomes["cut"] == 0 || g.Due != g.Outcomes["ok"] || g.Due == 0 {
			t.Errorf("%s: measured %g s: %+v", name, r.Phases[0].MeasuredS, g.Outcomes)
		}
		if rate == 0 && (g.Outcomes["cut"] != 4 || g.Due != 76) {
			t.Errorf("4 connections of 100 ms calls, stopped after 1.99 s: %+v", g.Outcomes)
		}
	}
	// In the warm-up nothing has been measured: no number, and no check passes.
	p := Plan{Groups: one(Group{}), Warmup: time.Minute, Checks: []Check{{What: MaxErrors, Limit: 1}, {What: MinRate}}}
	r, _, err := stopped(time.Second, &server{serve: after(10 * time.Millisecond)}, p)
	if err != nil || r.Answered() || r.Passed() || r.Phases[0].Total.Goodput != nil || r.Phases[0].Total.Errors != nil || r.Checks[0].OK || r.Checks[1].OK {
		t.Errorf("stopped while warming up: %v, %+v", err, r)
	}
	// In the first of two phases there is no second, and no fairness.
	p = Plan{Groups: slices.Concat(one(Group{Name: "a"}), one(Group{Name: "b"})), Fairness: true, Checks: []Check{{What: MaxRatio, Limit: 9}, {What: MaxP99, Limit: 1e9}, {What: MinRate, Group: "b"}}}
	r, _, err = stopped(time.Second, &server{serve: after(10 * time.Millisecond)}, p)
	if err != nil || len(r.Phases) != 1 || r.Fairness != nil || r.EndedBy != "interrupt" || r.Checks[0].OK || r.Checks[1].OK || r.Checks[2].OK {
		t.Errorf("stopped in the first phase: %v, %+v", err, r)
	}
	// While the last answers are awaited nothing but they is lost.
	p = Plan{Groups: one(Group{}), Duration: time.Second, Timeout: time.Minute}
	r, took, err := stopped(1500*time.Millisecond, &server{serve: after(800 * time.Millisecond)}, p)
	if err != nil || took != 1500*time.Millisecond || r.EndedBy != "interrupt" || r.Phases[0].MeasuredS != 1 || r.Phases[0].Total.Outcomes["cut"] != 1 || r.Phases[0].Total.Due != 1 {
		t.Errorf("stopped while draining: %v, %+v", err, r)
	}
	// Before anything was opened there is nothing to report.
	if r, _, err := stopped(0, &server{}, Plan{Groups: one(Group{})}); r != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped at once: %+v, %v", r, err)
	}
}

// The same seed makes the same calls in the same order on every connection.
func TestCallsDependOnTheSeedOnly(t *testing.T) {
	sequence := func(seed uint64, rate float64) (out []string) {
		s := &server{serve: after(10 * time.Millisecond)}
		g := Group{Connections: 4, Rate: rate, Tokens: []string{"t1", "t2", "t3", "t4"}, Mix: []Share{{call("x"), 2}, {call("y"), 1}, {call("z"), 1}}}
		bubble(t, s, Plan{Groups: one(g), Duration: time.Second, Seed: seed}, func(_ *testing.T, _ *Report) {
			for _, c := range s.of("tools/call") {
				key := c.at.String() + c.class() // which connection is free does not matter
				if rate == 0 {
					key = c.header.Get("Authorization") + c.at.String() + c.class()
				}
				out = append(out, key)
			}
			slices.Sort(out)
		})
		return out
	}
	for _, rate := range []float64{0, 200} {
		first := sequence(1, rate)
		if again := sequence(1, rate); len(first) == 0 || !slices.Equal(first, again) {
			t.Errorf("rate %g: the same seed made other calls", rate)
		}
		if other := sequence(2, rate); slices.Equal(first, other) {
			t.Errorf("rate %g: another seed made the same calls", rate)
		}
	}
}

func TestFairnessComparesAloneWithBeside(t *testing.T) {
	// One call after the other, 10 ms each, in the order of arrival: beside 4
	// more connections, 2 groups of 2, each call takes five times as long.
	s := &server{serve: cpu(10 * time.Millisecond)}
	groups := slices.Concat(one(Group{Name: "noisy", Connections: 2}), one(Group{Name: "quiet"}), one(Group{Name: "loud", Connections: 2}))
	p := Plan{Groups: groups, Fairness: true, Warmup: time.Second, Duration: 10 * time.Second, Checks: []Check{
		{What: MaxRatio, Limit: 5.1}, {What: MaxRatio, Limit: 4.9}, {What: MaxP99, Limit: 51}, {What: MaxP99, Group: "noisy", Limit: 49}, {What: MinRate, Limit: 19},
	}}
	bubble(t, s, p, func(t *testing.T, r *Report) {
		if len(r.Phases) != 2 || r.Phases[0].Name != "alone" || len(r.Phases[0].Groups) != 1 || r.Phases[1].Name != "beside" || len(r.Phases[1].Groups) != 3 {
			t.Fatalf("phases %+v", r.Phases)
		}
		f := r.Fairness
		if f == nil || f.Quiet != "quiet" {
			t.Fatalf("fairness %+v", f)
		}
		about(t, "p50 ratio", f.P50Ratio, 5, 0.01)
		about(t, "p99 ratio", f.P99Ratio, 5, 0.01)
		about(t, "goodput ratio", f.GoodputRatio, 0.2, 0.01)
		about(t, "share", f.Share, 0.2, 0.01)
		about(t, "even share", &f.EvenShare, 1.0/3, 0.01)
		jain := r.Phases[1].Jain
		if len(jain) != 1 || !slices.Equal(jain[0].Groups, []string{"noisy", "loud"}) {
			t.Fatalf("Jain's index is over groups that are alike: %+v", jain)
		}
		about(t, "Jain's index", jain[0].Index, 1, 0.001)
		want := []bool{true, false, true, false, true}
		for i, c := range r.Checks {
			if c.OK != want[i] || c.Got == nil {
				t.Errorf("check %+v passed: %v", c, c.OK)
			}
		}
		if r.Checks[2].Group != "quiet" || r.Checks[3].Group != "noisy" {
			t.Errorf("checks are about %q and %q", r.Checks[2].Group, r.Checks[3].Group)
		}
	})
}

func TestJain(t *testing.T) {
	for _, tt := range []struct {
		x    []float64
		want float64
	}{{[]float64{3, 3, 3}, 1}, {[]float64{1, 0, 0, 0}, 0.25}, {[]float64{1, 2, 3}, 36.0 / 42}} {
		about(t, fmt.Sprint(tt.x), jain(tt.x), tt.want, 1e-4)
	}
	if v := jain([]float64{0, 0}); v != nil {
		t.Errorf("nobody gets anything: %g, want not known", *v)
	}
}
