package alert

import (
	"time"
)

// State is where an alert is in its life.
type State string

// The states, in the order in which an alert passes through them. A resolved one
// becomes inactive when it was shown for long enough, or pending again before.
const (
	Inactive State = "inactive"
	Pending  State = "pending" // too much, but not yet for long enough
	Firing   State = "firing"
	Resolved State = "resolved" // fired, and is good again
)

// Retain is how long a resolved alert is shown as such.
const Retain = 15 * time.Minute

// Alert is a rule and where it stands.
type Alert struct {
	Rule    Rule
	State   State
	Since   time.Time // when the state began; zero for one that never did
	Started time.Time // when it began to fire; zero if it never did, or nobody is shown any more
	Ended   time.Time // when it was resolved; zero while it fires
	Value   float64   // of the last sample that had it
	Known   bool      // the last sample had it
}

// Transition is a change of an alert's state.
type Transition struct {
	Alert Alert // after it
	From  State
	At    time.Time
}

// Evaluator steps rules from sample to sample. It has no clock: the same samples
// at the same times give the same transitions. It is not safe for concurrent use.
type Evaluator struct {
	all  []*tracked
	last time.Time
}

type tracked struct {
	Alert
	history history
	calm    time.Time // since when a firing alert's number is good; zero while it is not
}

// NewEvaluator returns an evaluator with every alert inactive.
func NewEvaluator(rules []Rule) (*Evaluator, error) {
	if err := validate(rules); err != nil {
		return nil, err
	}
	e := &Evaluator{}
	for _, r := range rules {
		e.all = append(e.all, &tracked{Alert: Alert{Rule: r, State: Inactive}, history: history{window: r.Measure.In}})
	}
	return e, nil
}

// Resume makes an alert fire that fired in an earlier process, since started. It
// reports whether there is such a rule.
func (e *Evaluator) Resume(name string, started time.Time) bool {
	for _, t := range e.all {
		if t.Rule.Name == name {
			t.State, t.Since, t.Started = Firing, started, started
			return true
		}
	}
	return false
}

// Step takes a sample and returns what changed, in the order of the rules. A time
// before that of the last step counts as that one. It costs a few comparisons a
// rule.
func (e *Evaluator) Step(now time.Time, s Sample) []Transition {
	if now.Before(e.last) {
		now = e.last
	}
	e.last = now
	var changed []Transition
	for _, t := range e.all {
		from := t.State
		v, known := t.history.measured(now, t.Rule.Measure, s)
		if t.Known = known; known {
			t.Value = v
			t.step(now)
		}
		if t.State == Resolved && now.Sub(t.Since) >= Retain {
			t.enter(Inactive, now)
			t.Started, t.Ended = time.Time{}, time.Time{}
		}
		if t.State != from {
			changed = append(changed, Transition{t.Alert, from, now})
		}
	}
	return changed
}

// step moves an alert whose number is known. What is not known moves nothing: it
// neither proves trouble nor the end of it.
func (t *tracked) step(now time.Time) {
	switch t.State {
	case Inactive, Resolved:
		if t.Value > t.Rule.Above {
			t.enter(Pending, now)
			t.ripen(now)
		}
	case Pending:
		if t.Value <= t.Rule.Above {
			t.enter(Inactive, now)
			t.Started, t.Ended = time.Time{}, time.Time{}
			return
		}
		t.ripen(now)
	case Firing:
		if t.Value > t.Rule.Clear {
			t.calm = time.Time{}
			return
		}
		if t.calm.IsZero() {
			t.calm = now
		}
		if now.Sub(t.calm) >= t.Rule.Hold {
			t.enter(Resolved, now)
			t.Ended = now
		}
	}
}

// ripen makes an alert fire that was pending for long enough.
func (t *tracked) ripen(now time.Time) {
	if now.Sub(t.Since) >= t.Rule.For {
		t.enter(Firing, now)
		t.Started, t.Ended, t.calm = now, time.Time{}, time.Time{}
	}
}

func (t *tracked) enter(s State, now time.Time) { t.State, t.Since = s, now }

// Alerts returns all alerts, in the order of the rules.
func (e *Evaluator) Alerts() []Alert {
	all := make([]Alert, len(e.all))
	for i, t := range e.all {
		all[i] = t.Alert
	}
	return all
}
