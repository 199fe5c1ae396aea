package load

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const maxWeight = 1_000_000

// Classes returns the built-in calls, the lightest first: arguments of
// clear_thought whose cost does not depend on what the session holds, bounded by
// their own maxMillis. Measured on two cores of a virtual machine, light and
// describe take less than a millisecond, compute 5, heavy some hundreds on both.
func Classes() []Call {
	return []Call{
		{"light", json.RawMessage(`{"operation":"sequential_thinking","parameters":{"action":"check","thought":"17*23=391, so 391 is no prime."}}`)},
		{"describe", json.RawMessage(`{"operation":"describe","parameters":{"operation":"sequential_thinking"}}`)},
		{"compute", json.RawMessage(`{"operation":"statistical_reasoning","parameters":{"mode":"monte_carlo","draws":20000,"seed":1,"maxMillis":2000,` +
			`"variables":{"price":{"distribution":"triangular","min":8,"mode":10,"max":15},"demand":{"distribution":"normal","mean":1000,"sd":150}},` +
			`"expression":"price * demand - 9000","event":"result < 0"}}`)},
		{"heavy", json.RawMessage(`{"operation":"mcts","parameters":{"action":"run","simulations":200000,"trees":8,"seed":1,"maxMillis":10000,"problem":{` +
			`"variables":[{"name":"stock","type":"int","initial":2,"min":0,"max":20}],` +
			`"actions":[{"name":"sell","guard":"stock > 0","outcomes":[{"probability":0.7,"effects":{"stock":"stock - 1"},"reward":5},{"probability":0.3}]},` +
			`{"name":"order","guard":"stock < 20","effects":{"stock":"stock + 1"},"reward":-2}],` +
			`"reward":"-0.1 * stock","horizon":12,"discount":0.95}}}`)},
	}
}

// ParseMix reads a mix such as "light=9,heavy=1": names of calls with weights,
// separated by commas or, where a comma has another meaning, by plus signs. A
// name alone has the weight 1.
func ParseMix(text string, calls []Call) ([]Share, error) {
	var mix []Share
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '+' }) {
		name, weight, weighted := strings.Cut(strings.TrimSpace(part), "=")
		i := slices.IndexFunc(calls, func(c Call) bool { return c.Name == name })
		if i < 0 {
			names := make([]string, len(calls))
			for j, c := range calls {
				names[j] = c.Name
			}
			return nil, fault.Newf(fault.Invalid, "mix %q: there is no call %q, only %s", text, name, strings.Join(names, ", "))
		}
		s := Share{Call: calls[i], Weight: 1}
		if weighted {
			n, err := strconv.Atoi(weight)
			if err != nil || n < 1 || n > maxWeight {
				return nil, fault.Newf(fault.Invalid, "mix %q: the weight of %s must be a whole number from 1 to %d", text, name, maxWeight)
			}
			s.Weight = n
		}
		mix = append(mix, s)
	}
	if len(mix) == 0 {
		return nil, fault.Newf(fault.Invalid, "mix %q: it must be like light=9,heavy=1", text)
	}
	return mix, nil
}

// ParseGroup reads a group such as "quiet:token=…,connections=1,rate=10,
// mix=light=9+heavy=1". token may be given more than once. What is not given is
// as in base, but tokens that are given replace those of base.
func ParseGroup(text string, base Group, calls []Call) (Group, error) {
	g := base
	name, rest, _ := strings.Cut(text, ":")
	g.Name = name
	var tokens []string
	for part := range strings.SplitSeq(rest, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "token":
			tokens = append(tokens, value)
		case "connections":
			g.Connections, err = strconv.Atoi(value)
		case "rate":
			g.Rate, err = strconv.ParseFloat(value, 64)
		case "mix":
			if g.Mix, err = ParseMix(value, calls); err != nil {
				return g, err
			}
		default:
			return g, fault.Newf(fault.Invalid, "group %s: %q is not one of token, connections, rate, mix", name, key)
		}
		if err != nil || key == "connections" && g.Connections < 1 {
			return g, fault.Newf(fault.Invalid, "group %s: %s %q is not such a number", name, key, value)
		}
	}
	if tokens != nil {
		g.Tokens = tokens
	}
	if !nameForm.MatchString(name) || name == totalName {
		return g, fault.Newf(fault.Invalid, "group %q: it must be like quiet:token=T,connections=1,rate=10", text)
	}
	return g, nil
}

// picker draws calls of a mix in proportion to their weights.
type picker struct {
	upTo  []int // cumulated weights
	total int
}

func newPicker(mix []Share) picker {
	var p picker
	for _, s := range mix {
		p.total += s.Weight
		p.upTo = append(p.upTo, p.total)
	}
	return p
}

// pick returns the index of a call. A mix of one call draws nothing.
func (p *picker) pick(rng *rand.Rand) int {
	if len(p.upTo) == 1 {
		return 0
	}
	i, _ := slices.BinarySearch(p.upTo, rng.IntN(p.total)+1)
	return i
}
