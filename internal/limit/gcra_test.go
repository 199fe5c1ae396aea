package limit

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func shapeOf(t testing.TB, amount int64, period time.Duration, burst, debt int64) *shape {
	t.Helper()
	s, err := newShape(amount, period, burst, debt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShapes(t *testing.T) {
	for _, tt := range []struct {
		amount      int64
		period      time.Duration
		burst, debt int64
		want        string // in the error; empty is none
	}{
		{1, 1, 1, 0, ""},
		{600, time.Minute, 120, 120, ""},
		{maxAmount, 1, maxAmount, maxAmount, ""},
		{1, maxPeriod, 10, 0, ""},
		{1, maxPeriod, 5, 5, ""},
		{1, maxPeriod, 5, 6, "ten years"},
		{1, maxPeriod, maxAmount, maxAmount, "ten years"},
		{0, time.Second, 1, 0, "amount is 0"},
		{-1, time.Second, 1, 0, "amount"},
		{maxAmount + 1, time.Second, 1, 0, "amount"},
		{1, 0, 1, 0, "period"},
		{1, maxPeriod + 1, 1, 0, "period"},
		{1, time.Second, 0, 0, "burst"},
		{1, time.Second, maxAmount + 1, 0, "burst"},
		{1, time.Second, 1, -1, "debt"},
	} {
		_, err := newShape(tt.amount, tt.period, tt.burst, tt.debt)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestWait(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name   string
		amount int64
		period time.Duration
		burst  int64
		taken  []int64 // at 0
		now    time.Duration
		n      int64
		wait   time.Duration
		never  bool
		left   int64
	}{
		{"full", 1, s, 5, nil, 0, 5, 0, false, 5},
		{"more than it holds", 1, s, 5, nil, 0, 6, 0, true, 5},
		{"empty", 1, s, 5, []int64{5}, 0, 1, s, false, 0},
		{"empty, cost 3", 1, s, 5, []int64{2, 3}, 0, 3, 3 * s, false, 0},
		{"partly back", 1, s, 5, []int64{5}, 1500 * time.Millisecond, 2, 500 * time.Millisecond, false, 1},
		{"just before", 1, s, 5, []int64{5}, s - 1, 1, 1, false, 0},
		{"on time", 1, s, 5, []int64{5}, s, 1, 0, false, 1},
		{"a third of a nanosecond is a nanosecond", 3, 1, 1, []int64{1}, 0, 1, 1, false, 0},
		{"three in a nanosecond", 3, 1, 3, []int64{3}, 1, 3, 0, false, 3},
		{"seven a second", 7, s, 7, []int64{7}, 0, 1, 142857143, false, 0},
		{"never more than the burst", 1, s, 5, []int64{1}, time.Hour, 5, 0, false, 5},
		{"nothing", 1, s, 5, []int64{5}, 0, 0, 0, false, 0},
		{"negative", 1, s, 5, []int64{5}, 0, -3, 0, false, 0},
	} {
		sh := shapeOf(t, tt.amount, tt.period, tt.burst, 0)
		var l level
		for _, n := range tt.taken {
			l, _ = sh.take(l, 0, n)
		}
		wait, never := sh.wait(l, int64(tt.now), tt.n)
		if left := sh.left(l, int64(tt.now)); wait != tt.wait || never != tt.never || left != tt.left {
			t.Errorf("%s: wait %v, never %v, left %d; want %v, %v, %d", tt.name, wait, never, left, tt.wait, tt.never, tt.left)
		}
	}
}

// TestNoDrift takes a unit at the first possible nanosecond, a million times, at
// a rate that is no whole number of nanoseconds. A caller that is a part of a
// nanosecond late each time loses nothing: the k-th unit comes at exactly
// ceil((k−1)·period/amount).
func TestNoDrift(t *testing.T) {
	sh := shapeOf(t, 7, time.Second, 2, 0)
	l, _ := sh.take(level{}, 0, 1)
	now := int64(0)
	for k := int64(1); k <= 1_000_000; k++ {
		wait, _ := sh.wait(l, now, 1)
		now += int64(wait)
		l, _ = sh.take(l, now, 1)
		if want := ((k-1)*int64(time.Second) + 6) / 7; now != want {
			t.Fatalf("unit %d came at %d, want %d", k, now, want)
		}
	}
}

func TestOverflow(t *testing.T) {
	sh := shapeOf(t, 1, maxPeriod, 5, 5)
	if p := sh.price(math.MaxInt64); p.ns != maxSpan+1 {
		t.Errorf("price of everything: %v", p)
	}
	l := sh.overdraw(level{}, 1<<61, math.MaxInt64)
	if got := sh.used(l, 1<<61); got != sh.deepest {
		t.Errorf("overdrawn by everything: %v used, want %v", got, sh.deepest)
	}
	for range 5 {
		l = sh.overdraw(l, 1<<61, maxAmount)
	}
	if got := sh.used(l, 1<<61); got != sh.deepest {
		t.Errorf("again: %v used, want %v", got, sh.deepest)
	}
	fast := shapeOf(t, maxAmount, 1, maxAmount, 0)
	if n := fast.units(ticks{ns: maxSpan}); n != math.MaxInt64 {
		t.Errorf("units of ten years: %d", n)
	}
}

// TestClockBack: a clock that goes back a year neither gives anything nor locks
// anybody out for longer than a bucket takes to fill.
func TestClockBack(t *testing.T) {
	sh := shapeOf(t, 1, time.Second, 5, 5)
	year := int64(365 * 24 * time.Hour)
	l, m := sh.take(level{}, year, 3)
	if wait, _ := sh.wait(l, 0, 1); wait != 6*time.Second {
		t.Errorf("after the jump one unit takes %v, want 6s: out of the deepest debt", wait)
	}
	if got := sh.left(sh.give(l, 0, 3, 3, m), 0); got != 0 {
		t.Errorf("a refund before its charge left %d, want 0: 10 were missing, 3 came back", got)
	}
	if wait, _ := sh.wait(l, int64(6*time.Second), 1); wait != 6*time.Second {
		t.Errorf("untouched, it looks as empty as before: %v", wait)
	}
	l, _ = sh.take(l, year+int64(3*time.Second), 5)
	if sh.left(l, year+int64(3*time.Second)) != 0 {
		t.Error("back again it was not as it had been")
	}
}

func TestRefunds(t *testing.T) {
	s := int64(time.Second)
	sh := shapeOf(t, 1, time.Second, 10, 10)
	fresh := func() level { return level{} }

	l, a := sh.take(fresh(), 0, 5)
	l, b := sh.take(l, 0, 5)
	for _, order := range [][2]mark{{a, b}, {b, a}} {
		got := sh.give(sh.give(l, 0, 5, 5, order[0]), 0, 5, 5, order[1])
		if left := sh.left(got, 0); left != 10 {
			t.Errorf("two refunds at once left %d, want 10", left)
		}
	}

	// What came back by itself is not given again: else 5 + 10 could be taken at
	// once from a bucket of 10.
	l, a = sh.take(fresh(), 0, 5)
	l, _ = sh.take(l, 5*s, 10)
	if left := sh.left(sh.give(l, 5*s, 5, 5, a), 5*s); left != 0 {
		t.Errorf("a refund of what had drained left %d, want 0", left)
	}

	// A call behind others has all of its charge still to give.
	l, _ = sh.take(fresh(), 0, 5)
	l, b = sh.take(l, 0, 5)
	if left := sh.left(sh.give(l, 5*s, 5, 5, b), 5*s); left != 10 {
		t.Errorf("a refund of what had not begun to drain left %d, want 10", left)
	}

	// An earlier refund moved the later charge forward.
	l, a = sh.take(fresh(), 0, 5)
	l, b = sh.take(l, 0, 5)
	l = sh.give(l, 0, 5, 5, a)
	l, _ = sh.take(l, 5*s, 10)
	if left := sh.left(sh.give(l, 5*s, 5, 5, b), 5*s); left != 0 {
		t.Errorf("the second refund left %d, want 0", left)
	}

	// Part of a charge, and never more than it was.
	l, a = sh.take(fresh(), 0, 6)
	if left := sh.left(sh.give(l, 0, 6, 4, a), 0); left != 8 {
		t.Errorf("4 of 6 given back left %d, want 8", left)
	}
	if left := sh.left(sh.give(l, 0, 6, 9, a), 0); left != 10 {
		t.Errorf("9 of 6 given back left %d, want 10", left)
	}
}

func TestConvert(t *testing.T) {
	old := shapeOf(t, 1, time.Second, 10, 10)
	l, _ := old.take(level{}, 0, 7)
	for _, tt := range []struct {
		to   *shape
		left int64
	}{
		{shapeOf(t, 1, time.Second, 20, 0), 13},
		{shapeOf(t, 60, time.Second, 20, 0), 13},
		{shapeOf(t, 3, time.Hour, 8, 0), 1},
		{shapeOf(t, 1, time.Second, 5, 5), 0},
	} {
		if left := tt.to.left(tt.to.convert(old, l, 0), 0); left != tt.left {
			t.Errorf("to %+v: %d left, want %d", *tt.to, left, tt.left)
		}
	}
}

// naive is a bucket in exact fractions that keeps every charge in a queue. As
// the queue drains at the bucket's rate, what a charge can give back is what of it
// is still there. never is the same bucket to which nothing that was given back
// ever came.
type naive struct {
	unit    *big.Rat // nanoseconds a unit
	deepest *big.Rat
	now     int64
	queue   []*job
}

type job struct {
	left *big.Rat
	n    int64
	at   int64
	mark mark
	open bool
}

func rat(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

func (m *naive) advance(dt int64) {
	m.now += dt
	rest := rat(dt)
	for _, j := range m.queue {
		d := new(big.Rat).Set(j.left)
		if d.Cmp(rest) > 0 {
			d.Set(rest)
		}
		j.left.Sub(j.left, d)
		rest.Sub(rest, d)
	}
}

func (m *naive) used() *big.Rat {
	sum := new(big.Rat)
	for _, j := range m.queue {
		sum.Add(sum, j.left)
	}
	return sum
}

// event is a charge for the bucket without refunds.
type event struct {
	at  int64
	net *big.Rat
}

// without returns what would be missing at now had only the net amounts of events
// ever been charged.
func without(events []*event, now int64) *big.Rat {
	used, at := new(big.Rat), int64(0)
	for _, e := range append(slices.Clip(events), &event{now, new(big.Rat)}) {
		used.Sub(used, rat(e.at-at))
		if used.Sign() < 0 {
			used.SetInt64(0)
		}
		used.Add(used, e.net)
		at = e.at
	}
	return used
}

func exactly(s *shape, u ticks) *big.Rat {
	return new(big.Rat).Add(rat(u.ns), new(big.Rat).SetFrac64(u.frac, s.den))
}

func bucketModel(t *rapid.T) {
	amount := rapid.Int64Range(1, 50).Draw(t, "amount")
	period := rapid.Int64Range(1, 500).Draw(t, "period")
	burst := rapid.Int64Range(1, 30).Draw(t, "burst")
	debt := rapid.Int64Range(0, 30).Draw(t, "debt")
	s, err := newShape(amount, time.Duration(period), burst, debt)
	if err != nil {
		t.Fatal(err)
	}
	unit := big.NewRat(period, amount)
	of := func(n int64) *big.Rat { return new(big.Rat).Mul(unit, rat(n)) }
	m := &naive{unit: unit, deepest: of(burst + debt)}
	var l level
	var events []*event
	owner := map[*job]*event{}
	check := func(what string) {
		u := exactly(s, s.used(l, m.now))
		if u.Cmp(m.used()) != 0 {
			t.Fatalf("after %s: %v missing, want %v", what, u, m.used())
		}
		if u.Cmp(without(events, m.now)) < 0 {
			t.Fatalf("after %s: fuller than without what was given back: %v missing, want at least %v", what, u, without(events, m.now))
		}
		room := new(big.Rat).Sub(of(burst), u)
		if want := new(big.Rat).Quo(room, unit); room.Sign() > 0 {
			floor := new(big.Int).Quo(want.Num(), want.Denom())
			if got := s.left(l, m.now); got != floor.Int64() {
				t.Fatalf("after %s: %d left, want %v", what, got, floor)
			}
		} else if s.left(l, m.now) != 0 {
			t.Fatalf("after %s: something left in an empty bucket", what)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(*rapid.T) { check("a step") },
		"advance": func(t *rapid.T) {
			m.advance(rapid.Int64Range(0, 2*period).Draw(t, "ns"))
		},
		"take": func(t *rapid.T) {
			n := rapid.Int64Range(0, burst+1).Draw(t, "n")
			wait, never := s.wait(l, m.now, n)
			if never != (n > burst) {
				t.Fatalf("never is %v for %d of %d", never, n, burst)
			}
			if never {
				return
			}
			over := new(big.Rat).Sub(new(big.Rat).Add(m.used(), of(n)), of(burst))
			if ok := over.Sign() <= 0; ok != (wait == 0) {
				t.Fatalf("wait is %v, %v over", wait, over)
			}
			if wait > 0 {
				if late, _ := s.wait(l, m.now+int64(wait), n); late != 0 {
					t.Fatalf("after %v it still takes %v", wait, late)
				}
				if early, _ := s.wait(l, m.now+int64(wait)-1, n); early == 0 {
					t.Fatalf("%v is a nanosecond too long", wait)
				}
				return
			}
			j := &job{left: of(n), n: n, at: m.now, open: true}
			l, j.mark = s.take(l, m.now, n)
			m.queue = append(m.queue, j)
			owner[j] = &event{m.now, of(n)}
			events = append(events, owner[j])
		},
		"overdraw": func(t *rapid.T) {
			n := rapid.Int64Range(0, 2*(burst+debt)).Draw(t, "n")
			l = s.overdraw(l, m.now, n)
			room := new(big.Rat).Sub(m.deepest, m.used())
			if c := of(n); c.Cmp(room) < 0 {
				room = c
			}
			m.queue = append(m.queue, &job{left: room, at: m.now})
			events = append(events, &event{m.now, new(big.Rat).Set(room)})
		},
		"give": func(t *rapid.T) {
			var open []*job
			for _, j := range m.queue {
				if j.open {
					open = append(open, j)
				}
			}
			if len(open) == 0 {
				return
			}
			j := rapid.SampledFrom(open).Draw(t, "charge")
			j.open = false
			x := rapid.Int64Range(0, j.n).Draw(t, "x")
			before := exactly(s, s.used(l, m.now))
			l = s.give(l, m.now, j.n, x, j.mark)
			back := before.Sub(before, exactly(s, s.used(l, m.now)))
			most := of(x)
			if j.left.Cmp(most) < 0 {
				most.Set(j.left)
			}
			if back.Sign() < 0 || back.Cmp(most) > 0 {
				t.Fatalf("%v came back, want up to %v", back, most)
			}
			if j.at == m.now && back.Cmp(of(x)) != 0 {
				t.Fatalf("%v of %v came back at once", back, of(x))
			}
			j.left.Sub(j.left, back)
			owner[j].net.Sub(owner[j].net, back)
		},
	})
}

func TestBucketModel(t *testing.T) { rapid.Check(t, bucketModel) }

func FuzzBucket(f *testing.F) { f.Fuzz(rapid.MakeFuzz(bucketModel)) }

func BenchmarkTake(b *testing.B) {
	s := shapeOf(b, 1e9, time.Second, 1e9, 0)
	var l level
	for now := int64(0); b.Loop(); now++ {
		if wait, _ := s.wait(l, now, 1); wait == 0 {
			l, _ = s.take(l, now, 1)
		}
	}
}
