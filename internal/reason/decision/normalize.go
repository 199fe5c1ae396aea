package decision

import (
	"math"
	"slices"
)

// Normalization makes the values of different criteria comparable. Afterwards
// more is better for every criterion.
type Normalization string

// The normalizations. For a criterion to minimize, min-max measures from the
// maximum, sum uses reciprocals, vector takes one minus the share, and z and
// none change the sign.
const (
	MinMax Normalization = "min-max" // 0 is the worst option, 1 the best
	Sum    Normalization = "sum"     // shares of the sum; no negative values
	Vector Normalization = "vector"  // shares of the Euclidean norm
	ZScore Normalization = "z"       // distance from the mean in population standard deviations
	Raw    Normalization = "none"    // as given
)

// Normalizations lists all of them.
func Normalizations() []Normalization { return []Normalization{MinMax, Sum, Vector, ZScore, Raw} }

// unfit says that a normalization cannot take the value of a row.
type unfit struct {
	row  int
	want string
}

// normalizeColumn returns the normalized values of one criterion. A criterion
// on which all options are equal gives each of them the same value: 0 under
// min-max and z, since it separates nobody.
func normalizeColumn(x []float64, minimize bool, n Normalization) ([]float64, *unfit) {
	v := slices.Clone(x)
	switch n {
	case MinMax:
		lo, hi := slices.Min(x), slices.Max(x)
		for i := range v {
			switch {
			case lo == hi:
				v[i] = 0
			case minimize:
				v[i] = (hi - x[i]) / (hi - lo)
			default:
				v[i] = (x[i] - lo) / (hi - lo)
			}
		}
	case Sum:
		return shares(x, minimize)
	case Vector:
		unit(v)
		if minimize {
			for i := range v {
				v[i] = 1 - v[i]
			}
		}
	case ZScore:
		standardize(v)
		if minimize {
			negate(v)
		}
	default:
		if minimize {
			negate(v)
		}
	}
	return v, nil
}

// shares divides by the sum; for a criterion to minimize, the reciprocals by
// their sum, which keeps ratios.
func shares(x []float64, minimize bool) ([]float64, *unfit) {
	least := slices.Min(x)
	if i := slices.Index(x, least); minimize && least <= 0 {
		return nil, &unfit{i, "a value above 0: sum normalization takes the reciprocal of a criterion to minimize; min-max, vector and z take any value"}
	} else if least < 0 {
		return nil, &unfit{i, "a value of at least 0 under sum normalization; min-max, vector and z take any value"}
	}
	v := make([]float64, len(x))
	total := 0.0
	for i := range x {
		v[i] = x[i]
		if minimize {
			v[i] = least / x[i] // scaled, so that tiny values do not overflow
		}
		total += v[i]
	}
	if total > 0 {
		for i := range v {
			v[i] /= total
		}
	}
	return v, nil
}

// unit divides v by its Euclidean norm. Zeros stay zeros.
func unit(v []float64) {
	peak := 0.0
	for _, x := range v {
		peak = max(peak, math.Abs(x))
	}
	if peak == 0 {
		return
	}
	total := 0.0
	for i := range v {
		v[i] /= peak
		total += v[i] * v[i]
	}
	norm := math.Sqrt(total)
	for i := range v {
		v[i] /= norm
	}
}

// standardize subtracts the mean and divides by the population standard
// deviation. Equal values become zeros.
func standardize(v []float64) {
	if slices.Min(v) == slices.Max(v) {
		clear(v)
		return
	}
	mean := 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	peak := 0.0
	for i := range v {
		v[i] -= mean
		peak = max(peak, math.Abs(v[i]))
	}
	total := 0.0
	for i := range v {
		v[i] /= peak
		total += v[i] * v[i]
	}
	sd := math.Sqrt(total / float64(len(v)))
	for i := range v {
		v[i] /= sd
	}
}

func negate(v []float64) {
	for i := range v {
		v[i] = 0 - v[i] // not -v[i]: no negative zero
	}
}
