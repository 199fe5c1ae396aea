package work

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var simulateDocs = flag.String("simulate.docs", "", "write the figures of TestSimulate to scheduling.md and fairness.svg in this `directory`")

// scenario is a pattern of arrivals on two cores, and what must come of it.
type scenario struct {
	name    string // of the table's row
	what    string // one clause for the reader
	weights map[string]int
	lanes   LaneWeights // 0 is the default
	callers func(s *sim, add func(n int, c simCaller))
	show    []string // the parties in the table; what the row is about comes first
	jain    bool     // whether the index of the tenants' shares is asked for
	check   func(t *testing.T, o *outcome)
}

// outcome is what one run of a scenario came to.
type outcome struct {
	rows map[string]row
	jain float64
}

type row struct {
	calls    int           // that ended
	p50, p99 time.Duration // wait for the first turn; so far, if it has not come
	gap      time.Duration // longest time without a turn while the party waited
	share    float64       // of the CPU time used
}

const (
	simSlots = 2
	simSpan  = 20 * time.Second
)

// exponential returns gaps of a Poisson process.
func exponential(mean time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
}

// pareto returns durations with a heavy tail (shape 1.5, so that the variance
// has no bound), cut off at most.
func pareto(least, most time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		return min(most, time.Duration(float64(least)*math.Pow(1-r.Float64(), -1/1.5)))
	}
}

// play runs a scenario, with our policy or first come first served: all calls
// in one line, none of which yields.
func (sc *scenario) play(t *testing.T, fifo bool) *outcome {
	p := Config{LaneWeights: sc.lanes, TenantWeights: sc.weights}
	policy := p.policy()
	policy.maxQueued, policy.maxTenant, policy.maxSubject = 1e6, 1e6, 1e6
	s := newSim(policy, simSlots, 42)
	sc.callers(s, func(n int, c simCaller) {
		if c.lane == Inline {
			c.lane = Interactive
		}
		if fifo {
			c.as, c.lane, c.solid = "everybody", Interactive, true
		}
		s.add(n, c)
	})
	s.run(t, simSpan)

	o := &outcome{rows: make(map[string]row)}
	var total int64
	for _, party := range s.parties {
		total += party.cpu
	}
	var shares []float64
	for name, party := range s.parties {
		r := row{share: float64(party.cpu) / float64(total)}
		if party.waiting > 0 {
			party.gap = max(party.gap, s.now-party.since)
		}
		r.gap = time.Duration(party.gap)
		var waits []time.Duration
		for _, c := range party.calls {
			if c.end > 0 {
				r.calls++
			}
			if c.first < 0 { // it still waits
				c.first = s.now
			}
			waits = append(waits, time.Duration(c.first-c.sent))
		}
		slices.Sort(waits)
		if n := len(waits); n > 0 {
			r.p50, r.p99 = waits[(n-1)*50/100], waits[(n-1)*99/100]
		}
		o.rows[name] = r
		shares = append(shares, r.share)
	}
	slices.Sort(shares) // the sum of floats depends on the order
	o.jain = jain(shares)
	return o
}

// atMost fails if a wait or a gap is longer than what the policy promises.
func atMost(t *testing.T, what string, got, most time.Duration) {
	t.Helper()
	if got > most {
		t.Errorf("%s is %v, want at most %v", what, got, most)
	}
}

// near fails if a share is off by more than three hundredths.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.03 {
		t.Errorf("%s is %.3f, want %.2f", what, got, want)
	}
}

const ms = time.Millisecond

// quiet is a caller that sends one light call after another.
var quiet = simCaller{path: "quiet", work: fixed(2 * ms), think: exponential(20 * ms)}

func scenarios() []scenario {
	return []scenario{
		{
			name: "flood", what: "64 connections of one tenant send calls of 2 ms without a pause, beside one connection",
			callers: func(_ *sim, add func(int, simCaller)) {
				add(64, simCaller{path: "flood", work: fixed(2 * ms)})
				add(1, quiet)
			},
			show: []string{"quiet", "flood"},
			check: func(t *testing.T, o *outcome) {
				atMost(t, "the quiet tenant's p99", o.rows["quiet"].p99, 2*ms)
				atMost(t, "the flooder's gap", o.rows["flood"].gap, 2*ms)
			},
		},
		{
			name: "heavy calls", what: "32 calls of 300 ms at a time, beside light ones of 2 ms",
			callers: func(_ *sim, add func(int, simCaller)) {
				add(32, simCaller{path: "heavy", work: around(300 * ms)})
				add(1, quiet)
			},
			show: []string{"quiet", "heavy"},
			check: func(t *testing.T, o *outcome) {
				atMost(t, "the quiet tenant's p99", o.rows["quiet"].p99, time.Duration(DefaultQuantum))
			},
		},
		{
			name: "bursts", what: "200 calls of 5 ms at once, every second",
			callers: func(_ *sim, add func(int, simCaller)) {
				for second := range int(simSpan / time.Second) {
					add(200, simCaller{path: "bursts", work: fixed(5 * ms), calls: 1, from: time.Duration(second) * time.Second})
				}
				add(1, quiet)
			},
			show: []string{"quiet", "bursts"},
			check: func(t *testing.T, o *outcome) {
				atMost(t, "the quiet tenant's p99", o.rows["quiet"].p99, 2*ms)
				atMost(t, "the burst's p99", o.rows["bursts"].p99, 700*ms)
			},
		},
		{
			name: "heavy tail", what: "20 connections whose calls take 1 ms to 5 s (Pareto, shape 1.5)",
			callers: func(_ *sim, add func(int, simCaller)) {
				add(20, simCaller{path: "tail", work: pareto(ms, 5*time.Second)})
				add(1, quiet)
			},
			show: []string{"quiet", "tail"},
			check: func(t *testing.T, o *outcome) {
				atMost(t, "the quiet tenant's p99", o.rows["quiet"].p99, 2*ms)
			},
		},
		{
			name: "many small tenants", what: "300 tenants at 90 % load beside one that takes the rest",
			callers: func(_ *sim, add func(int, simCaller)) {
				for i := range 300 {
					add(1, simCaller{path: fmt.Sprintf("small %03d", i), work: fixed(2 * ms), think: exponential(330 * ms)})
				}
				add(32, simCaller{path: "flood", work: around(20 * ms)})
			},
			show: []string{"small 000", "small 299", "flood"},
			check: func(t *testing.T, o *outcome) {
				if share := o.rows["flood"].share; share < 0.05 {
					t.Errorf("the flooder gets %.3f, want what the others leave", share)
				}
				// All of them at once: each waits for a turn of every other, and for
				// the end of one that has just begun.
				const round = 300*DefaultQuantum/simSlots + DefaultQuantum
				for name, r := range o.rows {
					if name != "flood" {
						atMost(t, name+"'s p99", r.p99, round)
					}
					atMost(t, name+"'s gap", r.gap, round)
				}
			},
		},
		{
			name: "one returns", what: "a tenant silent for 10 s comes back with 16 connections beside two busy tenants",
			callers: func(_ *sim, add func(int, simCaller)) {
				add(16, simCaller{path: "first", work: around(10 * ms)})
				add(16, simCaller{path: "second", work: around(10 * ms)})
				add(16, simCaller{path: "returning", work: around(10 * ms), from: 10 * time.Second})
			},
			show: []string{"returning", "first", "second"},
			check: func(t *testing.T, o *outcome) {
				// A third of the second half: it neither banks credit nor waits.
				near(t, "the share of who returns", o.rows["returning"].share, 1.0/6)
				atMost(t, "the gap of a busy tenant", o.rows["first"].gap, 10*ms)
			},
		},
		{
			name: "batch beside interactive", what: "4 batch connections with calls of 1 ms beside an interactive flood, at weight 1 to 1000: only ageing helps them",
			lanes: LaneWeights{Interactive: MaxWeight, Batch: 1},
			callers: func(_ *sim, add func(int, simCaller)) {
				add(32, simCaller{path: "interactive", work: around(10 * ms)})
				add(4, simCaller{path: "batch", lane: Batch, work: fixed(ms)})
			},
			show: []string{"batch", "interactive"},
			check: func(t *testing.T, o *outcome) {
				atMost(t, "the batch lane's gap", o.rows["batch"].gap, DefaultAgeBatch+DefaultQuantum)
				atMost(t, "the batch p99", o.rows["batch"].p99, 4*(DefaultAgeBatch+DefaultQuantum))
				atMost(t, "the interactive lane's gap", o.rows["interactive"].gap, 2*DefaultQuantum)
			},
		},
		{
			name: "interactive beside batch", what: "light interactive calls beside 200 batch calls of a second",
			callers: func(_ *sim, add func(int, simCaller)) {
				add(200, simCaller{path: "batch", lane: Batch, work: around(time.Second)})
				add(1, quiet)
			},
			show: []string{"quiet", "batch"},
			check: func(t *testing.T, o *outcome) {
				atMost(t, "the interactive p99", o.rows["quiet"].p99, DefaultQuantum)
			},
		},
		{
			name: "weights 1:3", what: "two tenants that both want everything",
			weights: map[string]int{"one": 1, "three": 3},
			callers: func(_ *sim, add func(int, simCaller)) {
				add(24, simCaller{path: "one", work: around(10 * ms)})
				add(24, simCaller{path: "three", work: around(10 * ms)})
			},
			show: []string{"three", "one"},
			check: func(t *testing.T, o *outcome) {
				near(t, "the share of weight 3", o.rows["three"].share, 0.75)
			},
		},
		{
			name: "ten equal tenants", what: "with 4 to 40 connections and calls of 1 to 20 ms",
			callers: func(_ *sim, add func(int, simCaller)) {
				for i := range 10 {
					add(4+4*i, simCaller{path: fmt.Sprintf("tenant %d", i), work: around(time.Duration(1+2*i) * ms)})
				}
			},
			show: []string{"tenant 0", "tenant 9"},
			jain: true,
			check: func(t *testing.T, o *outcome) {
				if o.jain < 0.99 {
					t.Errorf("Jain's index is %.4f, want at least 0.99", o.jain)
				}
				for name, r := range o.rows {
					atMost(t, name+"'s gap", r.gap, 10*DefaultQuantum)
				}
			},
		},
	}
}

// TestSimulate plays the scenarios in virtual time, checks what they promise,
// and that the documentation shows these figures.
func TestSimulate(t *testing.T) {
	var results []result
	for _, sc := range scenarios() {
		t.Run(strings.ReplaceAll(sc.name, " ", "-"), func(t *testing.T) {
			r := result{scenario: sc, fair: sc.play(t, false), fifo: sc.play(t, true)}
			sc.check(t, r.fair)
			results = append(results, r)
		})
	}
	table := table(results)
	t.Log("\n" + table)
	if *simulateDocs != "" {
		writeDocs(t, *simulateDocs, table, chart(results))
		return
	}
	if t.Failed() || len(results) < len(scenarios()) { // -run chose some of them
		return
	}
	docs := filepath.Join("..", "..", "docs")
	page := readDoc(t, filepath.Join(docs, "scheduling.md"))
	if splice(t, page, table) != page {
		t.Error("docs/scheduling.md does not show these figures; run make simulate")
	}
	if readDoc(t, filepath.Join(docs, "fairness.svg")) != chart(results) {
		t.Error("docs/fairness.svg does not show these figures; run make simulate")
	}
}

// TestSimulationIsReproducible plays one scenario twice.
func TestSimulationIsReproducible(t *testing.T) {
	sc := scenarios()[0]
	if a, b := fmt.Sprint(sc.play(t, false)), fmt.Sprint(sc.play(t, false)); a != b {
		t.Errorf("got\n%s\nand then\n%s", a, b)
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeDocs(t *testing.T, dir, table, svg string) {
	t.Helper()
	page := filepath.Join(dir, "scheduling.md")
	for name, text := range map[string]string{
		page:                               splice(t, readDoc(t, page), table),
		filepath.Join(dir, "fairness.svg"): svg,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
