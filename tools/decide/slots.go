package decide

import (
	"fmt"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/session"
)

// Bounds of what is kept besides the problem; Input has the same ones.
const (
	maxTextConstraints = 50
	maxOptionID        = 200
	maxOptionName      = 500
	maxCriterionName   = 200
	maxHorizonText     = 500
	maxKept            = 100 // stakeholders, and information gaps
	maxGapText         = 4000
	maxIterations      = 1 << 50 // more than can have been
)

// SlotTypes describes the slots in which this family keeps state.
func SlotTypes() []session.SlotType {
	return []session.SlotType{decisions.Type().Keyed("decision_", maxDecisions)}
}

// Validate reports whether an analysis can have left the decision: whether the
// problem and the settings can be analysed again, and the verdict is about them.
// It is for a decision from outside.
func (d *Decision) Validate() error {
	keys, err := decision.Validate(d.Problem, d.Settings)
	if err != nil {
		return err
	}
	if err := d.Last.validate(d.Settings.Method, keys); err != nil {
		return fmt.Errorf("last.%w", err)
	}
	for i, o := range d.Problem.Options {
		if len(o.ID) > maxOptionID || len(o.Name) > maxOptionName {
			return fmt.Errorf("problem.options[%d]: want an id of at most %d bytes and a name of at most %d", i, maxOptionID, maxOptionName)
		}
	}
	for i, c := range d.Problem.Criteria {
		if len(c.Name) > maxCriterionName {
			return fmt.Errorf("problem.criteria[%d].name: %d bytes, the most is %d", i, len(c.Name), maxCriterionName)
		}
	}
	return d.validateNotes()
}

// validateNotes checks what is kept for people.
func (d *Decision) validateNotes() error {
	switch {
	case d.Iteration < 1 || d.Iteration > maxIterations:
		return fmt.Errorf("iteration: %d, want 1 or more", d.Iteration)
	case len(d.TextConstraints)+len(d.Problem.Constraints) > maxTextConstraints:
		return fmt.Errorf("textConstraints: %d and %d others, the most is %d", len(d.TextConstraints), len(d.Problem.Constraints), maxTextConstraints)
	case len(d.Stakeholders) > maxKept:
		return fmt.Errorf("stakeholders: %d, the most is %d", len(d.Stakeholders), maxKept)
	case len(d.TimeHorizon) > maxHorizonText:
		return fmt.Errorf("timeHorizon: %d bytes, the most is %d", len(d.TimeHorizon), maxHorizonText)
	case len(d.InformationGaps) > maxKept:
		return fmt.Errorf("informationGaps: %d, the most is %d", len(d.InformationGaps), maxKept)
	}
	for i, g := range d.InformationGaps {
		if max(len(g.Description), len(g.ResearchMethod)) > maxGapText {
			return fmt.Errorf("informationGaps[%d]: want texts of at most %d bytes", i, maxGapText)
		}
	}
	return nil
}

// validate checks a verdict about options with these keys.
func (v *Verdict) validate(method decision.Method, keys []string) error {
	has := func(key string) bool { return slices.Contains(keys, key) }
	switch {
	case v.Method != method:
		return fmt.Errorf("analysisType: %.64q, the settings say %q", v.Method, method)
	case v.Next != decision.Implementation && v.Next != decision.GatherMoreData:
		return fmt.Errorf("suggestedNextStage: %.64q, want %s or %s", v.Next, decision.Implementation, decision.GatherMoreData)
	case v.Recommendation != "" && (!has(v.Recommendation) || len(v.Tied) > 0):
		return fmt.Errorf("recommendation: %.64q, want one option, or several that are tied", v.Recommendation)
	case len(v.Tied) == 1 || len(v.Tied) > len(keys):
		return fmt.Errorf("tied: %d options of %d", len(v.Tied), len(keys))
	}
	for i, key := range v.Tied {
		if !has(key) || slices.Contains(v.Tied[:i], key) {
			return fmt.Errorf("tied[%d]: %.64q, want options, each once", i, key)
		}
	}
	return nil
}
