package problem

// Bounds on a declarative problem.
const (
	MaxVariables = 64
	MaxElements  = 512 // of all variables together
	MaxValues    = 64  // of an enum
	MaxEffects   = 64  // of an action, and of an outcome
	MaxConstants = 64
	MaxActions   = 256
	MaxOutcomes  = 32      // of one action
	MaxHorizon   = 10_000  // moves
	MaxLabel     = 200     // bytes of an action's name
	maxPrograms  = 1 << 16 // instructions of all formulas together
)

// DefaultHorizon is the horizon of a problem that states none.
const DefaultHorizon = 100

// Spec is a decision problem in declarative form. Formulas are in the language
// of package expr; they may name the variables, the constants, and
//
//	step    the number of moves made so far
//	player  who moves, 1 or 2, in a problem for two players
//
// A move evaluates everything but Reward, Terminal and TerminalValue in the
// state before it, all effects at once. player changes after each move unless
// an effect sets it.
type Spec struct {
	Variables     []Variable         `json:"variables" doc:"The state: what changes as actions are taken." required:"true" minItems:"1" maxItems:"64"`
	Constants     map[string]float64 `json:"constants,omitempty" doc:"Named numbers that formulas may use." maxItems:"64"`
	Actions       []Action           `json:"actions" doc:"What can be done." required:"true" minItems:"1" maxItems:"256"`
	Reward        string             `json:"reward,omitempty" doc:"Number formula: what arriving in the next state earns (player 1, if there are two)." maxLen:"8192"`
	Terminal      string             `json:"terminal,omitempty" doc:"Truth formula: the run is over in such a state. It is also over when no action is legal." maxLen:"8192"`
	TerminalValue string             `json:"terminalValue,omitempty" doc:"Number formula: what a state where the run is over, or cut off by the horizon, is worth besides its reward." maxLen:"8192"`
	Horizon       int                `json:"horizon,omitempty" doc:"Most moves of a run." default:"100" min:"1" max:"10000"`
	Discount      *float64           `json:"discount,omitempty" doc:"Discount factor γ: what is earned at depth d counts γ^d. Default 1." min:"0" max:"1"`
	Players       int                `json:"players,omitempty" doc:"1, or 2 who alternate: rewards are to player 1, player 2 minimises them." default:"1" min:"1" max:"2"`
	ValueRange    []float64          `json:"valueRange,omitempty" doc:"[low, high]: known bounds of the return from any state on. They scale exploration and allow early proofs." minItems:"2" maxItems:"2"`
}

// Variable is one part of the state.
type Variable struct {
	Name    string   `json:"name" doc:"Letters, digits and _; not step or player." required:"true" maxLen:"64"`
	Type    string   `json:"type,omitempty" doc:"int and real (float is real) are numbers, bool is a truth value, enum is one of values." enum:"int|real|float|bool|enum" default:"real"`
	Initial string   `json:"initial,omitempty" doc:"Constant formula: the value in the initial state. Default 0, false or the first of values." maxLen:"8192"`
	Min     *float64 `json:"min,omitempty" doc:"Lower bound; an effect below it is an error."`
	Max     *float64 `json:"max,omitempty" doc:"Upper bound; an effect above it is an error."`

	Values   []string `json:"values,omitempty" doc:"Of an enum: the names of its values. Formulas use them as constants, 0 for the first." maxItems:"64"`
	Length   int      `json:"length,omitempty" doc:"Makes it an array of so many elements, name[0] on; initial is that of each." min:"0" max:"512"`
	Elements []string `json:"elements,omitempty" doc:"Makes it an array: the constant formula of each element's initial value." maxItems:"512"`
}

// Action is one thing that can be done.
type Action struct {
	Name     string            `json:"name" doc:"Unique name, shown in results." required:"true" maxLen:"200"`
	Guard    string            `json:"guard,omitempty" doc:"Truth formula: the action is legal in such states. Default: always." maxLen:"8192"`
	Effects  map[string]string `json:"effects,omitempty" doc:"Variable name, or name[index formula] in an array, to formula of its next value. The others keep theirs." maxItems:"64"`
	Reward   string            `json:"reward,omitempty" doc:"Number formula over the state before the action: what taking it earns." maxLen:"8192"`
	Prior    string            `json:"prior,omitempty" doc:"Number formula of at least 0: how promising the action looks. Guides policy puct, widening and heuristic playouts. Default 1." maxLen:"8192"`
	Outcomes []Outcome         `json:"outcomes,omitempty" doc:"For an action with chance: what may happen. Its effects come on top of the action's own." maxItems:"32"`
}

// Outcome is one result of an action that depends on chance.
type Outcome struct {
	Probability string            `json:"probability" doc:"Number or number formula over the state before; those of an action sum to 1." required:"true" maxLen:"8192"`
	Effects     map[string]string `json:"effects,omitempty" doc:"Variable name to formula of its next value." maxItems:"64"`
	Reward      string            `json:"reward,omitempty" doc:"Number formula over the state before: what this outcome earns." maxLen:"8192"`
}
