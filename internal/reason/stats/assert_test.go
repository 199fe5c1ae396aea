package stats

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// free returns a meter without limits.
func free() *budget.Meter { return budget.New(context.Background(), budget.Limits{}, nil) }

var two = Options{Alternative: TwoSided, Alpha: 0.05}

func with(a Alternative) Options { return Options{Alternative: a, Alpha: 0.05} }

// near fails unless got is want up to the relative error tol, absolute below 1.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol*max(1, math.Abs(want)) {
		t.Errorf("%s = %.12g, want %.12g within %g", what, got, want, tol)
	}
}

// closeTo is near with a purely relative error.
func closeTo(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol*math.Abs(want) {
		t.Errorf("%s = %.15g, want %.15g within a relative %g", what, got, want, tol)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused fails unless err is an InputError of the field.
func refused(t *testing.T, what string, err error, field string) {
	t.Helper()
	in, ok := errors.AsType[*InputError](err)
	if !ok {
		t.Errorf("%s: err = %v, want an InputError", what, err)
		return
	}
	if in.Field != field || in.Want == "" {
		t.Errorf("%s: error %q names %q, want %q", what, err, in.Field, field)
	}
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("%s: kind %v, want invalid", what, fault.KindOf(err))
	}
}

func effect(t *testing.T, tt *Test, name string) Estimate {
	t.Helper()
	for _, e := range tt.EffectSizes {
		if strings.HasPrefix(e.Name, name) {
			return e
		}
	}
	t.Fatalf("no effect size %q in %v", name, tt.EffectSizes)
	return Estimate{}
}

// span returns both ends of an interval.
func span(t *testing.T, iv *Interval) (low, high float64) {
	t.Helper()
	if iv == nil || iv.Low == nil || iv.High == nil {
		t.Fatalf("interval %+v has no two ends", iv)
	}
	return *iv.Low, *iv.High
}

func normals(n int, mean, sd float64, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 99))
	x := make([]float64, n)
	for i := range x {
		x[i] = mean + sd*r.NormFloat64()
	}
	return x
}
