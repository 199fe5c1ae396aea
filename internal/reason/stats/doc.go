// Package stats computes descriptive statistics, hypothesis tests, Bayesian
// updates, Monte Carlo and bootstrap estimates, correlations, regressions and
// sample sizes from what it is given, and nothing from anything else.
//
// # From the bottom up
//
// beta.go, tails.go and noncentral.go hold the distribution functions, order.go
// sorting, ranks and quantiles, moments.go stable sums. On these stand the tests, one
// family per file, which all return a Test: statistic, p value and how it was
// computed, estimates and effect sizes with intervals, and the assumptions with
// what the data say about them. blocks.go runs seeded work in fixed blocks whose
// results are merged in order, so that a result depends on the seed and not on
// the number of workers; permutation tests, Monte Carlo and the bootstrap use it.
//
// A quantity that the data do not determine is a nil pointer with a note, never
// a zero. Wrong input is an *InputError that names the field. A computation on
// data cannot be cut short and stay true, so it fails when its budget is spent;
// sampling returns what it has drawn.
package stats
