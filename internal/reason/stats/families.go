package stats

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

type params = map[string]float64

// families returns the distributions with numeric parameters.
func families() map[string]family {
	return map[string]family{
		"normal": {
			params: []string{"mean", "sd"},
			check:  positive("sd"),
			sample: func(p params) func(*rand.Rand) float64 {
				mean, sd := p["mean"], p["sd"]
				return func(r *rand.Rand) float64 { return mean + sd*r.NormFloat64() }
			},
			cdf: func(p params) func(float64) float64 {
				return func(x float64) float64 { return normCDF((x - p["mean"]) / p["sd"]) }
			},
			mean:     func(p params) float64 { return p["mean"] },
			variance: func(p params) float64 { return p["sd"] * p["sd"] },
		},
		"lognormal": {
			params: []string{"mu", "sigma"},
			check:  positive("sigma"),
			sample: func(p params) func(*rand.Rand) float64 {
				mu, sigma := p["mu"], p["sigma"]
				return func(r *rand.Rand) float64 { return math.Exp(mu + sigma*r.NormFloat64()) }
			},
			cdf: func(p params) func(float64) float64 {
				return func(x float64) float64 {
					if x <= 0 {
						return 0
					}
					return normCDF((math.Log(x) - p["mu"]) / p["sigma"])
				}
			},
			mean: func(p params) float64 { return math.Exp(p["mu"] + p["sigma"]*p["sigma"]/2) },
			variance: func(p params) float64 {
				s2 := p["sigma"] * p["sigma"]
				return math.Expm1(s2) * math.Exp(2*p["mu"]+s2)
			},
		},
		"uniform": {
			params: []string{"min", "max"},
			check: func(field string, p params) error {
				if p["min"] >= p["max"] || math.IsInf(p["max"]-p["min"], 0) {
					return wrong(field+".max", "a number above min, at a finite distance", p["max"])
				}
				return nil
			},
			sample: func(p params) func(*rand.Rand) float64 {
				low, width := p["min"], p["max"]-p["min"]
				return func(r *rand.Rand) float64 { return low + width*r.Float64() }
			},
			cdf: func(p params) func(float64) float64 {
				return func(x float64) float64 { return clamp((x - p["min"]) / (p["max"] - p["min"])) }
			},
			mean:     func(p params) float64 { return p["min"] + (p["max"]-p["min"])/2 },
			variance: func(p params) float64 { return math.Pow(p["max"]-p["min"], 2) / 12 },
		},
		"triangular": triangular(),
		"beta": {
			params: []string{"alpha", "beta"},
			check: func(field string, p params) error {
				if err := shapeArg(field+".alpha", p["alpha"]); err != nil {
					return err
				}
				return shapeArg(field+".beta", p["beta"])
			},
			sample: func(p params) func(*rand.Rand) float64 {
				a, b := p["alpha"], p["beta"]
				return func(r *rand.Rand) float64 {
					return 1 / (1 + math.Exp(logGammaDraw(r, b)-logGammaDraw(r, a)))
				}
			},
			cdf: func(p params) func(float64) float64 {
				return func(x float64) float64 {
					lower, _ := incBeta(p["alpha"], p["beta"], x, 1-x)
					return lower
				}
			},
			mean: func(p params) float64 { return p["alpha"] / (p["alpha"] + p["beta"]) },
			variance: func(p params) float64 {
				s := p["alpha"] + p["beta"]
				return p["alpha"] / s * (p["beta"] / s) / (s + 1)
			},
		},
		"gamma": {
			params: []string{"shape", "rate"},
			check: func(field string, p params) error {
				if err := shapeArg(field+".shape", p["shape"]); err != nil {
					return err
				}
				return positiveArg(field+".rate", p["rate"])
			},
			sample: func(p params) func(*rand.Rand) float64 {
				shape, rate := p["shape"], p["rate"]
				return func(r *rand.Rand) float64 { return math.Exp(logGammaDraw(r, shape)) / rate }
			},
			cdf: func(p params) func(float64) float64 {
				return func(x float64) float64 { return mathext.GammaIncReg(p["shape"], max(0, x*p["rate"])) }
			},
			mean:     func(p params) float64 { return p["shape"] / p["rate"] },
			variance: func(p params) float64 { return p["shape"] / p["rate"] / p["rate"] },
		},
		"exponential": {
			params: []string{"rate"},
			check:  positive("rate"),
			sample: func(p params) func(*rand.Rand) float64 {
				rate := p["rate"]
				return func(r *rand.Rand) float64 { return r.ExpFloat64() / rate }
			},
			cdf: func(p params) func(float64) float64 {
				return func(x float64) float64 { return clamp(-math.Expm1(-p["rate"] * x)) }
			},
			mean:     func(p params) float64 { return 1 / p["rate"] },
			variance: func(p params) float64 { return 1 / p["rate"] / p["rate"] },
		},
		"student_t": studentT(),
		"bernoulli": {
			params: []string{"p"},
			check:  func(field string, p params) error { return probabilityArg(field+".p", p["p"]) },
			sample: func(p params) func(*rand.Rand) float64 {
				q := p["p"]
				return func(r *rand.Rand) float64 {
					if r.Float64() < q {
						return 1
					}
					return 0
				}
			},
			mean:     func(p params) float64 { return p["p"] },
			variance: func(p params) float64 { return p["p"] * (1 - p["p"]) },
		},
		"binomial": {
			params: []string{"n", "p"},
			check: func(field string, p params) error {
				if p["n"] < 0 || p["n"] > maxTrials || p["n"] != math.Trunc(p["n"]) {
					return wrong(field+".n", "a whole number from 0 to 1e9", p["n"])
				}
				return probabilityArg(field+".p", p["p"])
			},
			sample: func(p params) func(*rand.Rand) float64 {
				n, q := p["n"], p["p"]
				return func(r *rand.Rand) float64 { return distuv.Binomial{N: n, P: q, Src: r}.Rand() }
			},
			mean:     func(p params) float64 { return p["n"] * p["p"] },
			variance: func(p params) float64 { return p["n"] * p["p"] * (1 - p["p"]) },
		},
		"poisson": {
			params: []string{"rate"},
			check: func(field string, p params) error {
				if !(p["rate"] >= 0 && p["rate"] <= maxRate) {
					return wrong(field+".rate", "a rate from 0 to 1e9", p["rate"])
				}
				return nil
			},
			sample: func(p params) func(*rand.Rand) float64 {
				rate := p["rate"]
				return func(r *rand.Rand) float64 { return distuv.Poisson{Lambda: rate, Src: r}.Rand() }
			},
			mean:     func(p params) float64 { return p["rate"] },
			variance: func(p params) float64 { return p["rate"] },
		},
	}
}

func positive(name string) func(string, params) error {
	return func(field string, p params) error { return positiveArg(field+"."+name, p[name]) }
}

func triangular() family {
	return family{
		params: []string{"min", "mode", "max"},
		check: func(field string, p params) error {
			if !(p["min"] < p["max"] && p["min"] <= p["mode"] && p["mode"] <= p["max"]) || math.IsInf(p["max"]-p["min"], 0) {
				return wrong(field+".mode", "min ≤ mode ≤ max with min < max", []float64{p["min"], p["mode"], p["max"]})
			}
			return nil
		},
		sample: func(p params) func(*rand.Rand) float64 {
			low, width := p["min"], p["max"]-p["min"]
			peak := (p["mode"] - low) / width
			return func(r *rand.Rand) float64 {
				u := r.Float64()
				if u < peak {
					return low + width*math.Sqrt(u*peak)
				}
				return low + width*(1-math.Sqrt((1-u)*(1-peak)))
			}
		},
		cdf: func(p params) func(float64) float64 {
			width := p["max"] - p["min"]
			peak := (p["mode"] - p["min"]) / width
			return func(x float64) float64 {
				u := clamp((x - p["min"]) / width)
				if u < peak {
					return u * u / peak
				}
				if peak == 1 {
					return 1
				}
				return 1 - (1-u)*(1-u)/(1-peak)
			}
		},
		mean: func(p params) float64 { return p["min"]/3 + p["mode"]/3 + p["max"]/3 },
		variance: func(p params) float64 {
			w := p["max"] - p["min"]
			c := (p["mode"] - p["min"]) / w
			return w * w * (1 - c + c*c) / 18
		},
	}
}

func studentT() family {
	return family{
		params:   []string{"df"},
		optional: params{"location": 0, "scale": 1},
		check: func(field string, p params) error {
			if err := shapeArg(field+".df", p["df"]); err != nil {
				return err
			}
			return positiveArg(field+".scale", p["scale"])
		},
		sample: func(p params) func(*rand.Rand) float64 {
			df, location, scale := p["df"], p["location"], p["scale"]
			return func(r *rand.Rand) float64 {
				z := r.NormFloat64()
				// z/√(χ²/ν), in logarithms: χ² of a small ν underflows.
				return location + scale*z*math.Exp(-0.5*(logGammaDraw(r, df/2)-math.Log(df/2)))
			}
		},
		cdf: func(p params) func(float64) float64 {
			return func(x float64) float64 { return tSF((p["location"]-x)/p["scale"], p["df"]) }
		},
		mean: func(p params) float64 {
			if p["df"] <= 1 {
				return math.NaN()
			}
			return p["location"]
		},
		variance: func(p params) float64 {
			switch df := p["df"]; {
			case df <= 1:
				return math.NaN()
			case df <= 2:
				return math.Inf(1)
			default:
				return p["scale"] * p["scale"] * df / (df - 2)
			}
		},
	}
}
