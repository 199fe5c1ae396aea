package load

import (
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/build"
)

// Schema names the shape of a report's JSON. Members may be added under the same
// name; one that goes or changes its meaning takes a new one.
const Schema = "lyceum.bench/1"

// The phases of a fairness run.
const (
	phaseAlone  = "alone"
	phaseBeside = "beside"
)

// Report is what a run has measured. All times are milliseconds unless the name
// says otherwise. A number that could not be known is null.
type Report struct {
	Schema   string        `json:"schema"`
	Build    Build         `json:"build"` // of the generator
	Target   Target        `json:"target"`
	Settings Settings      `json:"settings"`
	EndedBy  string        `json:"endedBy"` // duration, max_calls or interrupt
	Phases   []Phase       `json:"phases"`
	Fairness *Fairness     `json:"fairness"` // null unless both phases were played
	Checks   []CheckResult `json:"checks"`
}

// Build says what made the report.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
}

// Target says what was measured.
type Target struct {
	URL      string `json:"url"`
	Era      string `json:"era"`
	Revision string `json:"revision"` // that the server negotiated
	Tool     string `json:"tool"`
}

// Settings are those of the plan that the numbers depend on.
type Settings struct {
	WarmupMS    float64 `json:"warmupMs"`
	DurationMS  float64 `json:"durationMs"`
	TimeoutMS   float64 `json:"timeoutMs"`
	LateAfterMS float64 `json:"lateAfterMs"`
	MaxCalls    int     `json:"maxCalls"`
	Arrivals    string  `json:"arrivals"` // even or poisson
	Seed        uint64  `json:"seed"`
	Progress    bool    `json:"progress"`
	NewSessions bool    `json:"newSessions"`
	Retry       bool    `json:"retry"`
}

// Phase is one stretch of load.
type Phase struct {
	Name      string   `json:"name"`      // load, or alone and beside
	MeasuredS float64  `json:"measuredS"` // seconds in which measured calls were begun
	EndedBy   string   `json:"endedBy"`
	Groups    []Result `json:"groups"`
	Total     Result   `json:"total"`
	Jain      []Jain   `json:"jain"`
}

func (p *Phase) group(name string) *Result {
	i := slices.IndexFunc(p.Groups, func(r Result) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Groups[i]
}

// Result is what was measured of one group, or of all together.
type Result struct {
	Name        string   `json:"name"`
	Connections int      `json:"connections"`
	Tokens      int      `json:"tokens"`
	Rate        float64  `json:"rate"` // arrivals a second that were to be; 0 is a closed loop
	Goodput     *float64 `json:"goodput"`
	Errors      *float64 `json:"errors"` // share of due

	Due      uint64            `json:"due"` // calls that were to be made, all outcomes but cut
	Outcomes map[string]uint64 `json:"outcomes"`
	Statuses map[int]uint64    `json:"statuses"` // of HTTP
	Refusals []Refusal         `json:"refusals"`
	Texts    map[string]string `json:"texts"` // for each outcome the first thing that was said

	Late           uint64 `json:"late"` // sent, but late: all connections were busy
	Warmup         uint64 `json:"warmup"`
	Sessions       int    `json:"sessions"` // that initialize has opened
	ProgressEvents uint64 `json:"progressEvents"`
	Retries        uint64 `json:"retries"` // attempts that were not the last of their call
	Bytes          int64  `json:"bytes"`   // of answers

	Latency        Latency `json:"latency"`        // of good answers, from when they were due
	RefusalLatency Latency `json:"refusalLatency"` // of 429 and 503
	Lag            Latency `json:"lag"`            // by how much the generator itself was late

	Calls []CallResult `json:"calls"`
}

// Refusal counts the answers that say "not now".
type Refusal struct {
	Status            int    `json:"status"`
	RetryAfter        uint64 `json:"retryAfter"`        // said when to come back
	MissingRetryAfter uint64 `json:"missingRetryAfter"` // did not
}

// CallResult is the part of one call of a mix.
type CallResult struct {
	Name    string  `json:"name"`
	Weight  int     `json:"weight"`
	Due     uint64  `json:"due"`
	Latency Latency `json:"latency"`
}

// Latency sums durations up. Beyond is how many more calls were never sent or
// never answered in time: the quantiles rank them after all others, and are null
// where they reach them. Min, Mean and Max are of the Count that were measured.
type Latency struct {
	Count  uint64   `json:"count"`
	Beyond uint64   `json:"beyond"`
	Min    *float64 `json:"min"`
	Mean   *float64 `json:"mean"`
	P50    *float64 `json:"p50"`
	P90    *float64 `json:"p90"`
	P95    *float64 `json:"p95"`
	P99    *float64 `json:"p99"`
	P999   *float64 `json:"p999"`
	Max    *float64 `json:"max"`
}

// Jain is the index of Jain, Chiu and Hawe (1984) over the goodput of groups that
// ask for the same: 1 when all get the same, 1/n when one of n gets everything.
type Jain struct {
	Groups []string `json:"groups"`
	Index  *float64 `json:"index"`
}

// Fairness compares the quiet group beside the others with itself alone.
type Fairness struct {
	Quiet        string   `json:"quiet"`
	P50Ratio     *float64 `json:"p50Ratio"`
	P99Ratio     *float64 `json:"p99Ratio"`
	GoodputRatio *float64 `json:"goodputRatio"`
	Share        *float64 `json:"share"`     // of all good answers
	EvenShare    float64  `json:"evenShare"` // what it were if every group got as many
}

// CheckResult is a check and what was found.
type CheckResult struct {
	What  string   `json:"what"`
	Group string   `json:"group"`
	Limit float64  `json:"limit"`
	Got   *float64 `json:"got"`
	OK    bool     `json:"ok"`
}

func newReport(p *Plan) *Report {
	b := build.Current()
	r := &Report{
		Schema: Schema, Build: Build{b.Version, b.Revision, b.GoVersion},
		Target: Target{URL: p.URL, Era: p.Era, Tool: p.Tool},
		Settings: Settings{
			WarmupMS: milliseconds(p.Warmup), DurationMS: milliseconds(p.Duration), TimeoutMS: milliseconds(p.Timeout),
			LateAfterMS: milliseconds(p.LateAfter), MaxCalls: p.MaxCalls, Arrivals: "even", Seed: p.Seed, Progress: p.Progress, NewSessions: p.NewSessions, Retry: p.Retry,
		},
	}
	if p.Poisson {
		r.Settings.Arrivals = "poisson"
	}
	return r
}

// add reports a phase that is over.
func (r *Report) add(p *phase, name string) {
	_, by := p.until()
	out := Phase{Name: name, MeasuredS: p.measured().Round(time.Millisecond).Seconds(), EndedBy: by}
	total := newTally(0)
	sum := Group{Name: totalName}
	tokens := 0
	for _, c := range p.crews {
		out.Groups = append(out.Groups, result(c.group, c.tally, p.measured(), distinct(c.group.Tokens)))
		total.merge(c.tally)
		sum.Connections += c.group.Connections
		sum.Rate += c.group.Rate
		tokens += distinct(c.group.Tokens)
	}
	out.Total = result(sum, total, p.measured(), tokens)
	out.Jain = fairness(p.crews, out.Groups)
	r.Target.Revision = total.revision
	r.EndedBy = by
	r.Phases = append(r.Phases, out)
}

func distinct(tokens []string) int {
	seen := map[string]bool{}
	for _, t := range tokens {
		seen[t] = true
	}
	return len(seen)
}

func result(g Group, t *tally, measured time.Duration, tokens int) Result {
	r := Result{
		Name: g.Name, Connections: g.Connections, Tokens: tokens, Rate: g.Rate,
		Due: t.due(), Outcomes: map[string]uint64{}, Statuses: t.statuses, Refusals: []Refusal{}, Texts: map[string]string{},
		Late: t.late, Warmup: t.warmup, Sessions: t.opened, ProgressEvents: t.progress, Retries: t.retries, Bytes: t.bytes,
		Latency: latency(&t.good, t.endless()), RefusalLatency: latency(&t.refusals, 0), Lag: latency(&t.lag, 0),
		Calls: []CallResult{},
	}
	r.Goodput = ratio(float64(t.count[ok]), measured.Seconds())
	r.Errors = ratio(float64(r.Due-t.count[ok]), float64(r.Due))
	for o := range outcomes {
		r.Outcomes[outcomeNames[o]] = t.count[o]
		if t.texts[o] != "" {
			r.Texts[outcomeNames[o]] = t.texts[o]
		}
	}
	for o, status := range map[outcome]int{limited: 429, overloaded: 503} {
		if t.count[o] > 0 {
			r.Refusals = append(r.Refusals, Refusal{Status: status, RetryAfter: t.after[o], MissingRetryAfter: t.noAfter[o]})
		}
	}
	slices.SortFunc(r.Refusals, func(a, b Refusal) int { return a.Status - b.Status })
	for i := range t.calls {
		r.Calls = append(r.Calls, CallResult{
			Name: g.Mix[i].Call.Name, Weight: g.Mix[i].Weight, Due: t.calls[i].count, Latency: latency(&t.calls[i].good, t.calls[i].endless),
		})
	}
	return r
}

func latency(h *Histogram, beyond uint64) Latency {
	l := Latency{Count: h.Count(), Beyond: beyond}
	if h.Count() > 0 {
		l.Min, l.Mean, l.Max = new(milliseconds(h.Min())), new(milliseconds(h.Mean())), new(milliseconds(h.Max()))
	}
	for _, q := range []struct {
		at   float64
		into **float64
	}{{0.5, &l.P50}, {0.9, &l.P90}, {0.95, &l.P95}, {0.99, &l.P99}, {0.999, &l.P999}} {
		if d, known := h.Quantile(q.at, beyond); known {
			*q.into = new(milliseconds(d))
		}
	}
	return l
}

// ratio returns a ÷ b to five significant digits, or nil where that is not a
// number.
func ratio(a, b float64) *float64 {
	v := a / b
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	if v != 0 {
		scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
		v = math.Round(v*scale) / scale
	}
	return &v
}

func ratioOf(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	return ratio(*a, *b)
}

// fairness computes Jain's index for every kind of group that there are several
// of: the same connections, rate and mix.
func fairness(crews []*crew, results []Result) []Jain {
	out := []Jain{}
	done := make([]bool, len(crews))
	for i, c := range crews {
		var names []string
		var got []float64
		for j := i; j < len(crews); j++ {
			o := crews[j].group
			if !done[j] && o.Connections == c.group.Connections && o.Rate == c.group.Rate && reflect.DeepEqual(o.Mix, c.group.Mix) {
				done[j] = true
				names = append(names, o.Name)
				if g := results[j].Goodput; g != nil {
					got = append(got, *g)
				}
			}
		}
		if len(names) > 1 {
			out = append(out, Jain{Groups: names, Index: jain(got)})
		}
	}
	return out
}

// jain returns (Σx)² ÷ (n·Σx²); nil when every x is 0.
func jain(x []float64) *float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	return ratio(sum*sum, float64(len(x))*squares)
}

// Answered reports whether any call got a good answer in the time measured.
func (r *Report) Answered() bool {
	return slices.ContainsFunc(r.Phases, func(p Phase) bool { return p.Total.Latency.Count > 0 })
}

// compare fills in the fairness, when both phases were played.
func (r *Report) compare(quiet string) {
	if len(r.Phases) < 2 {
		return
	}
	alone, beside := r.Phases[0].group(quiet), r.Phases[1].group(quiet)
	r.Fairness = &Fairness{
		Quiet:        quiet,
		P50Ratio:     ratioOf(beside.Latency.P50, alone.Latency.P50),
		P99Ratio:     ratioOf(beside.Latency.P99, alone.Latency.P99),
		GoodputRatio: ratioOf(beside.Goodput, alone.Goodput),
		Share:        ratio(float64(beside.Outcomes[outcomeNames[ok]]), float64(r.Phases[1].Total.Outcomes[outcomeNames[ok]])),
		EvenShare:    1 / float64(len(r.Phases[1].Groups)),
	}
}
