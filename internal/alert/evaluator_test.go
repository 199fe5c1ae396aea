package alert

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func one(t *testing.T, r Rule) *Evaluator {
	t.Helper()
	if r.Name == "" {
		r.Name = "Test"
	}
	r.Severity = Warning
	e, err := NewEvaluator([]Rule{r})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestLife plays one alert through its life: what is written is the seconds at
// which the state became another.
func TestLife(t *testing.T) {
	nan := math.NaN()
	for _, tt := range []struct {
		name   string
		rule   Rule
		values []float64 // one a second; NaN is not measured
		want   string
	}{
		{"fires after For, resolves after Hold", Rule{Above: 2, Clear: 1, For: 2 * time.Second, Hold: 2 * time.Second}, []float64{0, 3, 3, 3, 3, 0, 0, 0, 0}, "1 pending 3 firing 7 resolved"},
		{"a short peak does not fire", Rule{Above: 2, Clear: 1, For: 2 * time.Second}, []float64{3, 3, 2, 3, 3, 1}, "0 pending 2 inactive 3 pending 5 inactive"},
		{"the threshold itself is good", Rule{Above: 2, Clear: 2}, []float64{2, 2.5, 2}, "1 firing 2 resolved"},
		{"between the two thresholds nothing changes", Rule{Above: 2, Clear: 1}, []float64{1.5, 3, 1.5, 1.5, 1, 1.5}, "1 firing 4 resolved"},
		{"a short calm resolves nothing", Rule{Above: 2, Clear: 1, Hold: 2 * time.Second}, []float64{3, 0, 0, 1.5, 0, 0, 0}, "0 firing 6 resolved"},
		{"it fires again", Rule{Above: 2, Clear: 1, For: time.Second}, []float64{3, 3, 0, 3, 3}, "0 pending 1 firing 2 resolved 3 pending 4 firing"},
		{"what is not known moves nothing", Rule{Above: 2, Clear: 1, For: 2 * time.Second}, []float64{3, nan, 3, nan, nan, 0}, "0 pending 2 firing 5 resolved"},
		{"nor does it begin anything", Rule{Above: -1, Clear: -1}, []float64{nan, nan}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Measure.Of = "x"
			e := one(t, tt.rule)
			var got []string
			for i, v := range tt.values {
				for _, c := range e.Step(epoch.Add(time.Duration(i)*time.Second), Sample{"x": v}) {
					got = append(got, fmt.Sprint(i, " ", c.Alert.State))
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("%s, want %s", s, tt.want)
			}
		})
	}
}

func TestResolvedIsForgotten(t *testing.T) {
	e := one(t, Rule{Measure: Measure{Of: "x"}})
	e.Step(epoch, Sample{"x": 1})
	e.Step(epoch.Add(time.Second), Sample{"x": 0})
	if a := e.Alerts()[0]; a.State != Resolved || !a.Started.Equal(epoch) || !a.Ended.Equal(epoch.Add(time.Second)) {
		t.Errorf("%+v", a)
	}
	if c := e.Step(epoch.Add(Retain), Sample{"x": 0}); len(c) != 0 {
		t.Errorf("too early: %+v", c)
	}
	c := e.Step(epoch.Add(Retain+time.Second), Sample{})
	if len(c) != 1 || c[0].Alert.State != Inactive || c[0].From != Resolved || !c[0].Alert.Started.IsZero() {
		t.Errorf("%+v", c)
	}
}

// TestClockGoesBack: a clock that is set back neither fires nor resolves anything
// early.
func TestClockGoesBack(t *testing.T) {
	e := one(t, Rule{Measure: Measure{Of: "x"}, For: time.Minute})
	e.Step(epoch, Sample{"x": 1})
	if c := e.Step(epoch.Add(-time.Hour), Sample{"x": 1}); len(c) != 0 || !e.Alerts()[0].Since.Equal(epoch) {
		t.Errorf("%+v, %+v", c, e.Alerts())
	}
	if c := e.Step(epoch.Add(time.Minute), Sample{"x": 1}); len(c) != 1 || c[0].Alert.State != Firing {
		t.Errorf("%+v", c)
	}
}

func TestCounters(t *testing.T) {
	type sample struct {
		at, a, b float64
		want     float64
	}
	for _, tt := range []struct {
		name    string
		m       Measure
		samples []sample
	}{
		{"increase in a window", Measure{Of: "a", In: 10 * time.Second}, []sample{
			{0, 100, 0, 0}, {1, 103, 0, 3}, {9, 104, 0, 4}, {10, 104, 0, 4}, {11, 104, 0, 1}, {30, 104, 0, 0},
		}},
		{"another process", Measure{Of: "a", In: 10 * time.Second}, []sample{{0, 100, 0, 0}, {1, 110, 0, 10}, {2, 5, 0, 0}, {3, 7, 0, 2}}},
		{"a share", Measure{Of: "a", Over: "b", In: 10 * time.Second, Least: 20}, []sample{
			{0, 0, 0, 0}, {1, 5, 10, 0}, {2, 10, 20, 0.5}, {3, 10, 40, 0.25}, {20, 10, 40, 0}, {21, 90, 60, 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := one(t, Rule{Measure: tt.m, Above: 1e9, Clear: 1e9})
			for _, s := range tt.samples {
				e.Step(epoch.Add(time.Duration(s.at*float64(time.Second))), Sample{"a": s.a, "b": s.b})
				if a := e.Alerts()[0]; a.Value != s.want || !a.Known {
					t.Errorf("at %v s: %v, want %v", s.at, a.Value, s.want)
				}
			}
		})
	}
	e := one(t, Rule{Measure: Measure{Of: "a", Over: "b", In: time.Minute}})
	e.Step(epoch, Sample{"a": 5})
	if e.Alerts()[0].Known {
		t.Error("a share of something unknown is known")
	}
}

// TestHistory compares the window with one that forgets nothing: what it reports
// lies between the increase since the last sample before the window and that since
// the last one a part in resolution earlier, and it stays small.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := time.Duration(rapid.IntRange(1, 1000).Draw(rt, "window")) * time.Second
		h := history{window: window}
		var all []point
		at, a := epoch, 0.0
		for range rapid.IntRange(1, 300).Draw(rt, "samples") {
			at = at.Add(time.Duration(rapid.IntRange(0, int(window/time.Millisecond)/2).Draw(rt, "gap")) * time.Millisecond)
			a += float64(rapid.IntRange(0, 9).Draw(rt, "more"))
			all = append(all, point{at, a, 0})
			got, _ := h.add(at, a, 0)
			before := func(t time.Time) point {
				last := all[0]
				for _, p := range all {
					if !p.at.After(t) {
						last = p
					}
				}
				return last
			}
			base := before(at.Add(-window))
			early := before(base.at.Add(-window / resolution))
			if low, high := a-base.a, a-early.a; got < low || got > high {
				rt.Fatalf("increase %v, want from %v to %v", got, low, high)
			}
			if len(h.points) > resolution+2 {
				rt.Fatalf("%d points", len(h.points))
			}
		}
	})
}

// TestModel holds the evaluator against the definition: an alert begins to fire
// when every sample of the last For was above Above, and ends when every sample of
// the last Hold was at most Clear; its states come in order.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		second := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 5).Draw(rt, name)) * time.Second
		}
		r := Rule{Name: "X", Severity: Warning, Measure: Measure{Of: "x"}, Above: 2, Clear: 1, For: second("for"), Hold: second("hold")}
		e, err := NewEvaluator([]Rule{r})
		if err != nil {
			rt.Fatal(err)
		}
		firing := false
		var high, calm time.Time // since when without a break; zero is not
		for i := range rapid.IntRange(1, 60).Draw(rt, "samples") {
			now := epoch.Add(time.Duration(i) * time.Second)
			v := float64(rapid.IntRange(0, 3).Draw(rt, "value"))
			before := e.Alerts()[0].State
			changed := e.Step(now, Sample{"x": v})
			switch {
			case v <= 2:
				high = time.Time{}
			case high.IsZero():
				high = now
			}
			switch {
			case v > 1:
				calm = time.Time{}
			case calm.IsZero():
				calm = now
			}
			if firing {
				firing = calm.IsZero() || now.Sub(calm) < r.Hold
				if !firing {
					high = time.Time{}
				}
			} else {
				firing = !high.IsZero() && now.Sub(high) >= r.For
				if firing {
					calm = time.Time{}
				}
			}
			a := e.Alerts()[0]
			if (a.State == Firing) != firing {
				rt.Fatalf("at %d: %s, firing should be %v", i, a.State, firing)
			}
			if len(changed) > 1 || (len(changed) == 1) != (a.State != before) {
				rt.Fatalf("%s to %s told as %+v", before, a.State, changed)
			}
			if a.State != before && !slices.Contains([]string{
				"inactive pending", "inactive firing", "pending firing", "pending inactive", "firing resolved", "resolved pending", "resolved firing",
			}, string(before)+" "+string(a.State)) {
				rt.Fatalf("%s became %s", before, a.State)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	if err := validate(Standard()); err != nil {
		t.Error(err)
	}
	good := Rule{Name: "X", Severity: Warning, Measure: Measure{Of: "x"}}
	for want, change := range map[string]func(*Rule){
		"want a name":       func(r *Rule) { r.Name = "a b" },
		"severity":          func(r *Rule) { r.Severity = "loud" },
		"measures nothing":  func(r *Rule) { r.Measure.Of = "" },
		"needs a time":      func(r *Rule) { r.Measure.Over = "y" },
		"clear at most":     func(r *Rule) { r.Clear = 1 },
		"NaN":               func(r *Rule) { r.Above = math.NaN() },
		"want a time from":  func(r *Rule) { r.For = -1 },
		"time from 0 to 24": func(r *Rule) { r.Hold = 25 * time.Hour },
	} {
		r := good
		change(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := NewEvaluator([]Rule{good, good}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("two of a name: %v", err)
	}
	if _, err := NewEvaluator(make([]Rule, maxRules+1)); err == nil {
		t.Error("too many rules were taken")
	}
}
