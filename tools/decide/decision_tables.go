package decide

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/tools"
)

// tree decodes a parameter that comes in more than one shape. JSON inside a
// string is taken for what it holds. It returns nil for an absent parameter.
func tree(path string, raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, tools.Bad(path, "JSON", string(raw))
	}
	if text, ok := v.(string); ok && strings.ContainsAny(text, "{[") {
		return tree(path, json.RawMessage(text))
	}
	return v, nil
}

// number reads a number, one in a string, or a fraction such as "1/3".
func number(path string, v any) (float64, error) {
	var text string
	switch v := v.(type) {
	case float64:
		return v, nil
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	above, below, fraction := strings.Cut(text, "/")
	x, err := strconv.ParseFloat(strings.TrimSpace(above), 64)
	if err == nil && fraction {
		var y float64
		y, err = strconv.ParseFloat(strings.TrimSpace(below), 64)
		x /= y
	}
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, tools.Bad(path, "a finite number", v)
	}
	return x, nil
}

func mergePayoffs(_ *tools.Call, d *Decision, in Input) error {
	if in.States != nil {
		d.Problem.States = in.States
	}
	v, err := tree("parameters.payoffs", in.Payoffs)
	if err != nil || v == nil {
		return err
	}
	p := &d.Problem
	rows := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		rows = v
	case []any:
		if len(v) != len(p.Options) {
			return tools.Bad("parameters.payoffs", fmt.Sprintf("a row for each of the %d options, in their order (the names of the rows come from options)", len(p.Options)), fmt.Sprintf("%d rows", len(v)))
		}
		for i, row := range v {
			rows[p.Options[i].Key()] = row
		}
	default:
		return tools.Bad("parameters.payoffs", "{option: {state: value}} or a matrix", v)
	}
	p.Payoffs = make(map[string]map[string]float64, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if p.Payoffs[name], err = payoffRow(p, "parameters.payoffs."+name, rows[name]); err != nil {
			return err
		}
	}
	return nil
}

// payoffRow reads {state: value} or an array in the order of the states, which
// names them "state 1", "state 2", … where nobody did. null is a gap.
func payoffRow(p *decision.Problem, path string, row any) (map[string]float64, error) {
	cells := map[string]any{}
	switch row := row.(type) {
	case map[string]any:
		cells = row
	case []any:
		if len(row) > decision.MaxStates {
			return nil, tools.Bad(path, fmt.Sprintf("at most %d values, one for each state", decision.MaxStates), fmt.Sprintf("%d values", len(row)))
		}
		if len(p.States) == 0 {
			for s := range row {
				p.States = append(p.States, fmt.Sprintf("state %d", s+1))
			}
		}
		if len(row) != len(p.States) {
			return nil, tools.Bad(path, fmt.Sprintf("%d values, one for each state", len(p.States)), fmt.Sprintf("%d values", len(row)))
		}
		for s, v := range row {
			cells[p.States[s]] = v
		}
	default:
		return nil, tools.Bad(path, "{state: value} or an array of values", row)
	}
	out := make(map[string]float64, len(cells))
	for _, state := range slices.Sorted(maps.Keys(cells)) {
		if cells[state] == nil {
			continue
		}
		x, err := number(path+"."+state, cells[state])
		if err != nil {
			return nil, err
		}
		out[state] = x
	}
	return out, nil
}

func mergeProbabilities(_ *tools.Call, d *Decision, in Input) error {
	const path = "parameters.probabilities"
	v, err := tree(path, in.Probabilities)
	if err != nil || v == nil {
		return err
	}
	p := &d.Problem
	cells := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		cells = v
	case []any:
		if len(v) != len(p.States) {
			return tools.Bad(path, fmt.Sprintf("%d probabilities in the order of states (send states to fix the order, or {state: probability})", len(p.States)), fmt.Sprintf("%d", len(v)))
		}
		for s, q := range v {
			cells[p.States[s]] = q
		}
	default:
		return tools.Bad(path, "{state: probability} or an array in the order of states", v)
	}
	p.Probabilities = make(map[string]float64, len(cells))
	for _, state := range slices.Sorted(maps.Keys(cells)) {
		if p.Probabilities[state], err = number(path+"."+state, cells[state]); err != nil {
			return err
		}
	}
	return nil
}

// mergeComparisons reads judgements for AHP: about the criteria or, where there
// are none, about the options; or about both, as an object.
func mergeComparisons(_ *tools.Call, d *Decision, in Input) error {
	const path = "parameters.comparisons"
	v, err := tree(path, in.Comparisons)
	if err != nil || v == nil {
		return err
	}
	c := decision.Comparisons{}
	switch v := v.(type) {
	case []any:
		j, err := judgements(path, v)
		if err != nil {
			return err
		}
		if len(d.Problem.Criteria) > 0 {
			c.Criteria = j
		} else if len(v) > 0 {
			c.Options = map[string]decision.Judgements{"": j}
		}
	case map[string]any:
		if c, err = bothLevels(path, v); err != nil {
			return err
		}
	default:
		return tools.Bad(path, "a matrix, a list of {a, b, value} or {criteria, options}", v)
	}
	d.Problem.Comparisons = c
	return nil
}

func bothLevels(path string, v map[string]any) (c decision.Comparisons, err error) {
	for key := range v {
		if key != "criteria" && key != "options" {
			return c, tools.Bad(path, "the members criteria and options", key)
		}
	}
	if v["criteria"] != nil {
		if c.Criteria, err = judgements(path+".criteria", v["criteria"]); err != nil {
			return c, err
		}
	}
	switch options := v["options"].(type) {
	case nil:
	case map[string]any:
		c.Options = make(map[string]decision.Judgements, len(options))
		for _, name := range slices.Sorted(maps.Keys(options)) {
			if c.Options[name], err = judgements(path+".options."+name, options[name]); err != nil {
				return c, err
			}
		}
	default:
		j, err := judgements(path+".options", options)
		if err != nil {
			return c, err
		}
		c.Options = map[string]decision.Judgements{"": j}
	}
	return c, nil
}

// judgements reads a matrix or a list of pairs.
func judgements(path string, v any) (j decision.Judgements, err error) {
	list, ok := v.([]any)
	if !ok {
		return j, tools.Bad(path, "a matrix or a list of {a, b, value}", v)
	}
	if len(list) > decision.MaxJudged*decision.MaxJudged {
		return j, tools.Bad(path, fmt.Sprintf("judgements about at most %d things", decision.MaxJudged), fmt.Sprintf("%d judgements", len(list)))
	}
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch item := item.(type) {
		case []any:
			row := make([]float64, len(item))
			for k, x := range item {
				if row[k], err = number(fmt.Sprintf("%s[%d]", at, k), x); err != nil {
					return j, err
				}
			}
			j.Matrix = append(j.Matrix, row)
		case map[string]any:
			pair := decision.Pair{}
			pair.A, _ = item["a"].(string)
			pair.B, _ = item["b"].(string)
			if pair.Value, err = number(at+".value", item["value"]); err != nil {
				return j, err
			}
			j.Pairs = append(j.Pairs, pair)
		default:
			return j, tools.Bad(at, "a row of numbers or {a, b, value}", item)
		}
	}
	return j, nil
}
