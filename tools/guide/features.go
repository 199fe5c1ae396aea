package guide

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
	"github.com/lyceum-mcp/lyceum/session"
)

// Slots of other operations that are looked into: what they computed last.
var (
	chains    = session.NewSlot[thought.Chain](thought.SlotName)
	cases     = session.NewSlot[debug.Case](debug.SlotName)
	decisions = session.NewSlot[decision]("decision")
)

// decision is the part of a stored decision that rules look at.
type decision struct {
	Last struct {
		Tied []string `json:"tied"`
	} `json:"last"`
}

// features are what a prompt, the client's data and a session hold that a rule may
// look at: counts, forms and results, never the words.
type features struct {
	numbers int             // in a row, the longest
	claims  int             // arithmetic
	places  int             // lines that name a place in a source file, as a stack trace does
	given   map[string]bool // names in data

	objects  map[string]int // slot → objects that the session holds
	refuted  int            // thoughts of the active branch with a wrong calculation
	stale    int            // and ones that stand on what was revised
	branches int            // open
	opened   []string       // cases of debugging that are not done
	tied     int            // decisions whose best options are equal
}

const (
	maxLook    = 64 << 10 // bytes of a prompt that are looked at
	maxObjects = 20       // of a kind that are opened
)

var (
	numberRun = regexp.MustCompile(`[-+]?\d+(?:\.\d+)?(?:[\s,;|]+[-+]?\d+(?:\.\d+)?)+`)
	number    = regexp.MustCompile(`[-+]?\d+(?:\.\d+)?`)
	place     = regexp.MustCompile(`\b[\w./\\-]+\.(?:go|py|js|mjs|ts|tsx|java|kt|rb|rs|c|cc|cpp|h|cs|php|swift)"?(?::|, line )\d+`)
)

// lookAt collects the features. What cannot be read in the session is left out.
func lookAt(h *session.Handle, slots []string, prompt string, data map[string]json.RawMessage) features {
	f := features{given: map[string]bool{}, objects: map[string]int{}}
	for _, run := range numberRun.FindAllString(prompt, -1) {
		f.numbers = max(f.numbers, len(number.FindAllString(run, -1)))
	}
	f.claims = len(claim.Scan(prompt).Arithmetic)
	f.places = len(place.FindAllString(prompt, 50))
	for name := range data {
		f.given[name] = true
	}
	if h == nil {
		return f
	}
	for _, name := range slots {
		if n := len(h.Keys(name)); n > 0 {
			f.objects[name] = n
		}
	}
	if chain, ok, err := chains.Read(h); ok && err == nil {
		f.objects[chains.Name()] = 1
		f.chain(&chain)
	}
	for _, id := range first(h.Keys(cases.Name()), maxObjects) {
		if k, ok, err := cases.Key(id).Read(h); ok && err == nil && k.Driver() != nil {
			if _, found, err := k.Driver().Ask(); err == nil && !found.Done {
				f.opened = append(f.opened, id)
			}
		}
	}
	for _, id := range first(h.Keys(decisions.Name()), maxObjects) {
		if d, ok, err := decisions.Key(id).Read(h); ok && err == nil && len(d.Last.Tied) > 1 {
			f.tied++
		}
	}
	return f
}

func first(ids []string, n int) []string { return ids[:min(len(ids), n)] }

// chain looks at what holds on the active branch.
func (f *features) chain(c *thought.Chain) {
	for _, s := range c.View(c.Active).Slots {
		if c.Get(s.ID).Refuted > 0 {
			f.refuted++
		}
		if s.Stale() {
			f.stale++
		}
	}
	for _, b := range c.Branches {
		if b.State == thought.Open {
			f.branches++
		}
	}
}

// rule gives points to an operation when a feature is there, and may say how to
// call it then.
type rule struct {
	name      string
	operation string
	points    float64
	because   func(*features) string // "" when it does not apply
	arguments func(*features) map[string]any
}

// rules are the ones about a single operation; fired adds those about all.
var rules = []rule{
	{"refuted_claims", "sequential_thinking", 4, func(f *features) string {
		return when(f.refuted > 0, "%d thoughts of the session have a wrong calculation", f.refuted)
	}, action("check")},
	{"stale_thoughts", "sequential_thinking", 3, func(f *features) string {
		return when(f.stale > 0, "%d thoughts of the session stand on something that was revised", f.stale)
	}, action("read")},
	{"branches_open", "sequential_thinking", 1, func(f *features) string {
		return when(f.branches > 1, "%d branches of the session are open: merge or close them", f.branches)
	}, action("branches")},
	{"calculations", "sequential_thinking", 4, func(f *features) string {
		return when(f.claims > 0, "the prompt has %d calculations that can be checked", f.claims)
	}, nil},
	{"open_case", "debugging_approach", 4, func(f *features) string {
		return when(len(f.opened) > 0, "%d cases of debugging wait for the outcome of a test", len(f.opened))
	}, func(f *features) map[string]any { return map[string]any{"action": "ask", "caseId": f.opened[0]} }},
	{"stack_trace", "debugging_approach", 4, func(f *features) string {
		return when(f.places > 0, "the prompt names %d places in source files", f.places)
	}, nil},
	{"sample", "statistical_reasoning", 4, func(f *features) string {
		return when(f.numbers >= 5, "the prompt has %d numbers in a row", f.numbers)
	}, nil},
	{"tied_decision", "decision_framework", 2, func(f *features) string {
		return when(f.tied > 0, "%d decisions of the session have no single best option: give another criterion, or compare in pairs", f.tied)
	}, action("list")},
}

func action(name string) func(*features) map[string]any {
	return func(*features) map[string]any { return map[string]any{"action": name} }
}

func when(holds bool, format string, args ...any) string {
	if !holds {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// Fired is a rule that applied.
type Fired struct {
	Rule    string  `json:"rule"`
	Points  float64 `json:"points"`
	Because string  `json:"because"`
}

// fired returns the rules that apply to an operation, and the arguments of the
// heaviest of them that has some.
func (f *features) fired(e *entry) (out []Fired, arguments map[string]any) {
	heaviest := 0.0
	for _, r := range rules {
		if r.operation != e.spec.Name {
			continue
		}
		if why := r.because(f); why != "" {
			out = append(out, Fired{r.name, r.points, why})
			if r.points > heaviest && r.arguments != nil {
				heaviest, arguments = r.points, r.arguments(f)
			}
		}
	}
	var has []string
	for _, name := range slices.Sorted(maps.Keys(f.given)) {
		if p := e.parameters[name]; p != nil && !p.setting() {
			has = append(has, name)
		}
	}
	if len(has) > 0 {
		arguments = nil // the client begins something with what it has
		out = append(out, Fired{"parameters_given", float64(3 * len(has)), "data has " + strings.Join(has, ", ")})
	}
	if n := f.holds(e.spec.Name); n > 0 {
		out = append(out, Fired{"session_holds", 0.5, fmt.Sprintf("the session keeps %d objects of it: it can go on there", n)})
	}
	return out, arguments
}

// holds returns how many objects of an operation the session has. The name of its
// slot begins the operation's.
func (f *features) holds(operation string) int {
	n := 0
	for slot, objects := range f.objects {
		if strings.HasPrefix(operation, slot) {
			n += objects
		}
	}
	return n
}
