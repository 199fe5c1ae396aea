package problem_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// stock is a small problem that uses every part of the language.
func stock() *problem.Spec {
	return &problem.Spec{
		Variables: []problem.Variable{
			{Name: "units", Type: "int", Initial: "start", Min: new(0.0), Max: new(9.0)},
			{Name: "cash", Initial: "1e1"},
			{Name: "open", Type: "bool", Initial: "true"},
		},
		Constants: map[string]float64{"start": 2, "price": 3},
		Actions: []problem.Action{
			{Name: "sell", Guard: "open && units > 0", Reward: "0.5", Outcomes: []problem.Outcome{
				{Probability: "0.75", Effects: map[string]string{"units": "units - 1", "cash": "cash + price"}, Reward: "1"},
				{Probability: "1/4"},
			}},
			{Name: "swap", Effects: map[string]string{"cash": "units", "units": "min(cash, 9)"}},
			{Name: "close", Guard: "open", Effects: map[string]string{"open": "false"}},
		},
		Reward:        "cash / 10",
		Terminal:      "units == 0",
		TerminalValue: "cash",
		Horizon:       5,
		Discount:      new(0.5),
	}
}

func compile(t testing.TB, s *problem.Spec) *problem.Compiled {
	t.Helper()
	m, err := problem.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func start(m problem.Model) []float64 {
	s := make([]float64, m.Traits().Size)
	m.Start(s)
	return s
}

func actions(t testing.TB, m problem.Model, s []float64) []int {
	t.Helper()
	acts, err := m.Actions(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return acts
}

func TestCompiledProblem(t *testing.T) {
	m := compile(t, stock())
	want := problem.Traits{Size: 4, Actions: 3, Players: 1, Discount: .5, Horizon: 5, Weight: m.Traits().Weight}
	if got := m.Traits(); got != want || got.Weight < 1 {
		t.Errorf("traits %+v, want %+v", got, want)
	}
	s := start(m)
	if !slices.Equal(s, []float64{2, 10, 1, 0}) {
		t.Fatalf("starts in %v", s)
	}
	if got := actions(t, m, s); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("legal at first: %v", got)
	}
	if m.Label(2) != "close" || m.Scope().Var(3).Name != "step" || m.Player(s) != 1 {
		t.Errorf("label %q, slot 3 %q, player %d", m.Label(2), m.Scope().Var(3).Name, m.Player(s))
	}

	// swap: both effects see the state before; the reward sees the one after
	// and is discounted once.
	o, r, err := m.Apply(s, 1, nil)
	if err != nil || o != 0 || r != .5*.2 || !slices.Equal(s, []float64{9, 2, 1, 1}) {
		t.Errorf("swap: outcome %d, reward %v, state %v, error %v", o, r, s, err)
	}
	if _, r, err = m.Apply(s, 2, nil); err != nil || r != .5*.2 || !slices.Equal(s, []float64{9, 2, 0, 2}) {
		t.Errorf("close: reward %v, state %v, error %v", r, s, err)
	}
	if got := actions(t, m, s); !slices.Equal(got, []int{1}) {
		t.Errorf("legal when closed: %v", got)
	}
	if v, err := m.Value(s); err != nil || v != 2 {
		t.Errorf("value %v, %v; want 2", v, err)
	}
}

func TestOutcomesAreDrawnByProbability(t *testing.T) {
	m := compile(t, stock())
	rng := seed.Stream(3, 0)
	const draws = 20_000
	var sold int
	for range draws {
		s := start(m)
		o, r, err := m.Apply(s, 0, rng)
		if err != nil {
			t.Fatal(err)
		}
		switch o {
		case 0:
			sold++
			if r != .5+1+.5*1.3 || !slices.Equal(s, []float64{1, 13, 1, 1}) {
				t.Fatalf("sold: reward %v, state %v", r, s)
			}
		case 1:
			if r != .5+.5*1 || !slices.Equal(s, []float64{2, 10, 1, 1}) {
				t.Fatalf("not sold: reward %v, state %v", r, s)
			}
		default:
			t.Fatalf("outcome %d", o)
		}
	}
	// Four standard deviations of a binomial.
	if p := float64(sold) / draws; math.Abs(p-.75) > 4*math.Sqrt(.75*.25/draws) {
		t.Errorf("sold with frequency %v, want about 0.75", p)
	}
}

func TestHorizonAndTerminalEndTheRun(t *testing.T) {
	m := compile(t, stock())
	s := start(m)
	for range 5 {
		if len(actions(t, m, s)) == 0 {
			t.Fatalf("over in %v", s)
		}
		if _, _, err := m.Apply(s, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := actions(t, m, s); len(got) != 0 {
		t.Errorf("at the horizon %v are legal", got)
	}
	s = start(m)
	s[0] = 0
	if got := actions(t, m, s); len(got) != 0 {
		t.Errorf("in a terminal state %v are legal", got)
	}
}

func TestTwoPlayersAlternate(t *testing.T) {
	m := compile(t, &problem.Spec{
		Players:   2,
		Variables: []problem.Variable{{Name: "left", Type: "int", Initial: "4"}},
		Actions: []problem.Action{
			{Name: "take", Guard: "left > 0", Effects: map[string]string{"left": "left - 1"}},
			{Name: "again", Guard: "left > 1", Effects: map[string]string{"left": "left - 1", "player": "player"}},
		},
		Reward: "left > 0 ? 0 : player == 2 ? 1 : -1",
	})
	if tr := m.Traits(); tr.Players != 2 || !tr.Deterministic || tr.Horizon != problem.DefaultHorizon || tr.Discount != 1 {
		t.Errorf("traits %+v", tr)
	}
	s := start(m)
	for i, c := range []struct {
		action, player int
		reward         float64
	}{{0, 2, 0}, {1, 2, 0}, {0, 1, 0}, {0, 2, 1}} {
		_, r, err := m.Apply(s, c.action, nil)
		if err != nil || m.Player(s) != c.player || r != c.reward {
			t.Errorf("move %d: player %d, reward %v, error %v; want %+v", i, m.Player(s), r, err, c)
		}
	}
}

func TestCertainOutcomeIsDeterministic(t *testing.T) {
	m := compile(t, &problem.Spec{
		Variables: []problem.Variable{{Name: "x"}},
		Actions: []problem.Action{{Name: "a", Outcomes: []problem.Outcome{
			{Probability: "0", Effects: map[string]string{"x": "1"}}, {Probability: "1", Effects: map[string]string{"x": "2"}},
		}}},
	})
	s := start(m)
	if o, _, err := m.Apply(s, 0, nil); err != nil || o != 1 || s[0] != 2 || !m.Traits().Deterministic {
		t.Errorf("outcome %d, x=%v, %v, deterministic %v", o, s[0], err, m.Traits().Deterministic)
	}
}

func TestComputedProbabilities(t *testing.T) {
	spec := &problem.Spec{
		Variables: []problem.Variable{{Name: "p", Initial: "0.25"}, {Name: "hit", Type: "bool"}},
		Actions: []problem.Action{{Name: "a", Outcomes: []problem.Outcome{
			{Probability: "p", Effects: map[string]string{"hit": "true"}}, {Probability: "1 - p"},
		}}},
	}
	m := compile(t, spec)
	if m.Traits().Deterministic {
		t.Error("a problem with chance is called deterministic")
	}
	rng := seed.Stream(5, 0)
	var hits float64
	const draws = 10_000
	for range draws {
		s := start(m)
		if _, _, err := m.Apply(s, 0, rng); err != nil {
			t.Fatal(err)
		}
		hits += s[1]
	}
	if p := hits / draws; math.Abs(p-.25) > 4*math.Sqrt(.25*.75/draws) {
		t.Errorf("hit with frequency %v, want about 0.25", p)
	}
	for p, want := range map[float64]string{2: "the probability is 2", -.5: "the probability is -0.5"} {
		s := start(m)
		s[0] = p
		if _, _, err := m.Apply(s, 0, rng); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "actions[0].outcomes[0].probability") {
			t.Errorf("p=%v: %v", p, err)
		}
	}
	spec.Actions[0].Outcomes[1].Probability = "p"
	m = compile(t, spec)
	if _, _, err := m.Apply(start(m), 0, rng); err == nil || !strings.Contains(err.Error(), "the probabilities sum to 0.5") {
		t.Errorf("sum of 0.5: %v", err)
	}
}

func TestFailuresWhileRunning(t *testing.T) {
	base := func() *problem.Spec {
		return &problem.Spec{
			Variables: []problem.Variable{{Name: "n", Type: "int", Max: new(3.0)}, {Name: "x"}},
			Actions:   []problem.Action{{Name: "a"}},
		}
	}
	for name, c := range map[string]struct {
		change func(*problem.Spec)
		want   string
	}{
		"division":  {func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"x": "1 / n"} }, "actions[0].effects.x: 1:3: division by zero (in a state with n=0, x=0, step=0); expected a divisor"},
		"too large": {func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"n": "4"} }, "actions[0].effects.n: n would be 4 (in a state with n=0, x=0, step=0); expected a whole number of at most 3"},
		"fraction":  {func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"n": "0.5"} }, "n would be 0.5"},
		"reward":    {func(s *problem.Spec) { s.Reward = "log(n)" }, "reward: 1:1: logarithm of a number"},
		"own":       {func(s *problem.Spec) { s.Actions[0].Reward = "sqrt(-1)" }, "actions[0].reward: 1:1: square root"},
		"guard":     {func(s *problem.Spec) { s.Actions[0].Guard = "1/n > 0" }, "actions[0].guard: 1:2: division by zero"},
		"terminal":  {func(s *problem.Spec) { s.Terminal = "1/n > 0" }, "terminal: 1:2: division by zero"},
		"value":     {func(s *problem.Spec) { s.TerminalValue = "1/n" }, "terminalValue: 1:2: division by zero"},
		"sum":       {func(s *problem.Spec) { s.Actions[0].Reward, s.Reward = "1e308", "1.5e308" }, "actions[0]: the rewards of one move are too large"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := base()
			c.change(spec)
			m := compile(t, spec)
			s := start(m)
			_, err := m.Actions(s, nil)
			if err == nil {
				_, _, err = m.Apply(s, 0, nil)
			}
			if err == nil {
				_, err = m.Value(s)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if _, ok := errors.AsType[problem.Flaws](err); !ok || fault.KindOf(err) != fault.Invalid {
				t.Errorf("error of type %T and kind %v", err, fault.KindOf(err))
			}
		})
	}
	two := base()
	two.Players = 2
	two.Actions[0].Effects = map[string]string{"player": "3"}
	m := compile(t, two)
	if _, _, err := m.Apply(start(m), 0, nil); err == nil || !strings.Contains(err.Error(), "the player would be 3") {
		t.Errorf("player 3: %v", err)
	}
}

func TestValidation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*problem.Spec)
		want   []string
	}{
		"nothing":          {func(s *problem.Spec) { *s = problem.Spec{} }, []string{"variables: 0 variables; expected 1 to 64"}},
		"no actions":       {func(s *problem.Spec) { s.Actions = nil }, []string{"actions: 0 actions; expected 1 to 256"}},
		"players":          {func(s *problem.Spec) { s.Players = 3 }, []string{"players: 3; expected 1 or 2"}},
		"negative players": {func(s *problem.Spec) { s.Players = -1 }, []string{"players: -1"}},
		"horizon":          {func(s *problem.Spec) { s.Horizon = -1 }, []string{"horizon: -1; expected a whole number from 1 to 10000"}},
		"discount":         {func(s *problem.Spec) { s.Discount = new(0.0) }, []string{"discount: 0; expected a number above 0 and at most 1"}},
		"range":            {func(s *problem.Spec) { s.ValueRange = []float64{1, 1} }, []string{"valueRange: [1 1]; expected [low, high]"}},
		"type":             {func(s *problem.Spec) { s.Variables[0].Type = "text" }, []string{`variables[0].type: "text"; expected int, real, float, bool or enum`}},
		"reserved":         {func(s *problem.Spec) { s.Variables[0].Name = "step" }, []string{`variables[0].name: "step" is used already`}},
		"twice":            {func(s *problem.Spec) { s.Variables[1].Name = "units" }, []string{`variables[1].name: "units" is used already`}},
		"odd name":         {func(s *problem.Spec) { s.Variables[1].Name = "(a+)+$" }, []string{"cannot be a name"}},
		"empty bounds":     {func(s *problem.Spec) { s.Variables[0].Min = new(10.0) }, []string{"variables[0].min: 10; expected at most max"}},
		"bool bounds":      {func(s *problem.Spec) { s.Variables[2].Min = new(0.0) }, []string{"variables[2].min: a truth value has no bounds"}},
		"constant clash":   {func(s *problem.Spec) { s.Constants["cash"] = 1 }, []string{`constants.cash: "cash" is used already`}},
		"bad constant":     {func(s *problem.Spec) { s.Constants["x y"] = 1 }, []string{`"x y" cannot be a name`}},
		"initial type":     {func(s *problem.Spec) { s.Variables[2].Initial = "1" }, []string{"variables[2].initial: 1:1: this is a number; expected a truth value"}},
		"initial bounds":   {func(s *problem.Spec) { s.Variables[0].Initial = "10" }, []string{"variables[0].initial: units would be 10; expected a whole number from 0 to 9"}},
		"initial variable": {func(s *problem.Spec) { s.Variables[0].Initial = "cash" }, []string{`variables[0].initial: 1:1: the name "cash" is unknown`}},
		"initial fails":    {func(s *problem.Spec) { s.Variables[1].Initial = "1/0" }, []string{"variables[1].initial: 1:2: division by zero"}},
		"action name":      {func(s *problem.Spec) { s.Actions[1].Name = " sell " }, []string{`actions[1].name: " sell "; expected a name of its own`}},
		"guard type":       {func(s *problem.Spec) { s.Actions[0].Guard = "units" }, []string{"actions[0].guard: 1:1: this is a number; expected a truth value, as in x != 0"}},
		"effect target":    {func(s *problem.Spec) { s.Actions[1].Effects["step"] = "0" }, []string{`actions[1].effects.step: "step" cannot be set`}},
		"effect unknown":   {func(s *problem.Spec) { s.Actions[1].Effects["gold"] = "0" }, []string{`actions[1].effects.gold: "gold" cannot be set; expected the name of a variable`}},
		"effect syntax":    {func(s *problem.Spec) { s.Actions[1].Effects["cash"] = "1 +\n *" }, []string{`actions[1].effects.cash: 2:2: found "*"; expected a number`}},
		"effect twice":     {func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"cash": "0"} }, []string{`actions[0].outcomes[0].effects.cash: the action itself sets "cash"`}},
		"probability":      {func(s *problem.Spec) { s.Actions[0].Outcomes[0].Probability = "1.5" }, []string{"actions[0].outcomes[0].probability: 1.5; expected a number from 0 to 1"}},
		"no probability":   {func(s *problem.Spec) { s.Actions[0].Outcomes[1].Probability = "" }, []string{"actions[0].outcomes[1].probability: 1:1: the formula ends here"}},
		"sum":              {func(s *problem.Spec) { s.Actions[0].Outcomes[1].Probability = "0.5" }, []string{"actions[0].outcomes: they sum to 1.25; expected probabilities that sum to 1"}},
		"outcomes":         {func(s *problem.Spec) { s.Actions[0].Outcomes = make([]problem.Outcome, 33) }, []string{"actions[0].outcomes: 33 outcomes; expected at most 32"}},
		"several":          {func(s *problem.Spec) { s.Reward, s.Terminal, s.TerminalValue = "x", "y", "on" }, []string{"reward: 1:1", "terminal: 1:1", "terminalValue: 1:1"}},
		"too much": {func(s *problem.Spec) {
			for len(s.Actions) < 40 {
				s.Actions = append(s.Actions, problem.Action{Name: strings.Repeat("n", len(s.Actions)), Guard: "open && " + strings.Repeat("cash+", 1000) + "1 > 0"})
			}
		}, []string{"all formulas together need"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stock()
			c.change(s)
			_, err := problem.Compile(s)
			flaws, ok := errors.AsType[problem.Flaws](err)
			if !ok || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("error %v of kind %v", err, fault.KindOf(err))
			}
			for _, want := range c.want {
				if !strings.Contains(flaws.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
		})
	}
}

func TestFlawsAreBounded(t *testing.T) {
	s := stock()
	for range 200 {
		s.Actions = append(s.Actions, problem.Action{Name: ""})
	}
	_, err := problem.Compile(s)
	if f, ok := errors.AsType[problem.Flaws](err); !ok || len(f) != 20 {
		t.Errorf("%d flaws reported, want 20", len(f))
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	m := compile(t, stock())
	rng := seed.Stream(1, 1)
	s := start(m)
	buf := make([]int, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		m.Start(s)
		m.Actions(s, buf)
		m.Apply(s, 0, rng)
		m.Value(s)
	}); n != 0 {
		t.Errorf("one move allocates %v times", n)
	}
}
