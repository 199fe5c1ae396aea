package stats

import (
	"cmp"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// sortRun is how many items are sorted at once, without a look at the budget.
const sortRun = 2048

// sortBy sorts x by less-equal-greater in O(n log n): short runs, then merges,
// so that the caller can be stopped and can give way in between.
func sortBy[T any](m *budget.Meter, x []T, compare func(a, b T) int) error {
	for lo := 0; lo < len(x); lo += sortRun {
		if !m.Step(sortRun * 10 / valuesPerStep) {
			return spent(m)
		}
		slices.SortFunc(x[lo:min(len(x), lo+sortRun)], compare)
	}
	if len(x) <= sortRun {
		return nil
	}
	from, to := x, make([]T, len(x))
	for width := sortRun; width < len(x); width *= 2 {
		for lo := 0; lo < len(x); lo += 2 * width {
			mid, hi := min(len(x), lo+width), min(len(x), lo+2*width)
			if err := merge(m, to[lo:hi], from[lo:mid], from[mid:hi], compare); err != nil {
				return err
			}
		}
		from, to = to, from
	}
	if &from[0] != &x[0] {
		copy(x, from)
	}
	return nil
}

func merge[T any](m *budget.Meter, out, a, b []T, compare func(a, b T) int) error {
	return each(m, len(out), func(lo, hi int) {
		for k := lo; k < hi; k++ {
			if len(b) == 0 || len(a) > 0 && compare(a[0], b[0]) <= 0 {
				out[k], a = a[0], a[1:]
			} else {
				out[k], b = b[0], b[1:]
			}
		}
	})
}

// sorted returns an ascending copy of x.
func sorted(m *budget.Meter, x []float64) ([]float64, error) {
	s := slices.Clone(x)
	return s, sortBy(m, s, cmp.Compare[float64])
}

// quantile returns the p-quantile of an ascending, non-empty s by linear
// interpolation of order statistics: type 7 of Hyndman & Fan (1996), the default
// of R and NumPy.
func quantile(s []float64, p float64) float64 {
	h := p * float64(len(s)-1)
	i := int(h)
	if i >= len(s)-1 {
		return s[len(s)-1]
	}
	f := h - float64(i)
	if f == 0 || s[i] == s[i+1] {
		return s[i]
	}
	return s[i]*(1-f) + s[i+1]*f // this form cannot overflow
}

// medianDeviation returns the median of |s[i]−center| for an ascending s in O(n)
// by merging the two ascending runs of deviations on either side of the center.
func medianDeviation(s []float64, center float64) float64 {
	right, _ := slices.BinarySearch(s, center)
	left := right - 1
	n := len(s)
	var last, before float64
	for range n/2 + 1 {
		before = last
		switch {
		case left < 0 || right < n && s[right]-center < center-s[left]:
			last = s[right] - center
			right++
		default:
			last = center - s[left]
			left--
		}
	}
	if n%2 == 0 {
		return before + (last-before)/2
	}
	return last
}

// observation is a value together with where it came from.
type observation struct {
	value float64
	group int32
	index int32
}

// pool puts all groups in one ascending slice.
func pool(m *budget.Meter, groups ...[]float64) ([]observation, error) {
	var n int
	for _, g := range groups {
		n += len(g)
	}
	all := make([]observation, 0, n)
	for g, x := range groups {
		for i, v := range x {
			if i%stretch == stretch-1 && !m.Pause() {
				return nil, spent(m)
			}
			all = append(all, observation{value: v, group: int32(g), index: int32(i)})
		}
	}
	return all, sortBy(m, all, func(a, b observation) int { return cmp.Compare(a.value, b.value) })
}

// ties describes the groups of equal values among n ranked ones.
type ties struct {
	groups int     // groups of two or more equal values
	cubes  float64 // Σ(t³−t) over those groups
}

// ranked calls fn with each observation and its midrank (1-based) in ascending
// order.
func ranked(m *budget.Meter, all []observation, fn func(o observation, rank float64)) (ties, error) {
	var t ties
	for lo := 0; lo < len(all); {
		hi := lo + 1
		for hi < len(all) && all[hi].value == all[lo].value {
			hi++
		}
		if n := float64(hi - lo); n > 1 {
			t.groups++
			t.cubes += n*n*n - n
		}
		rank := float64(lo+1+hi) / 2
		if !m.Step(int64(hi-lo)/valuesPerStep + 1) {
			return t, spent(m)
		}
		for ; lo < hi; lo++ {
			fn(all[lo], rank)
		}
	}
	return t, nil
}

// midranks returns the midranks of x in its own order.
func midranks(m *budget.Meter, x []float64) ([]float64, ties, error) {
	all, err := pool(m, x)
	if err != nil {
		return nil, ties{}, err
	}
	r := make([]float64, len(x))
	t, err := ranked(m, all, func(o observation, rank float64) { r[o.index] = rank })
	return r, t, err
}
