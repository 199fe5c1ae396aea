package decide

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxDecisions bounds what one session keeps. Calls that store at the same
// moment may exceed it by their number.
const maxDecisions = 50

// decisions holds each decision under its own id.
var decisions = session.NewSlot[Decision]("decision")

// Decision is what the session keeps: all that is needed to analyse again.
type Decision struct {
	Statement       string            `json:"decisionStatement,omitempty"`
	Problem         decision.Problem  `json:"problem"`
	Settings        decision.Settings `json:"settings"`
	TextConstraints []string          `json:"textConstraints,omitempty"` // not evaluated
	Stakeholders    []string          `json:"stakeholders,omitempty"`
	TimeHorizon     string            `json:"timeHorizon,omitempty"`
	InformationGaps []GapInput        `json:"informationGaps,omitempty"`
	Iteration       int               `json:"iteration"`
	Last            Verdict           `json:"last"`
	Attempt         string            `json:"attempt,omitempty"` // the durable call that committed it, to find that out should it run again
}

// Verdict is the outcome of the last analysis in short.
type Verdict struct {
	Method         decision.Method `json:"analysisType"`
	Recommendation string          `json:"recommendation,omitempty"`
	Tied           []string        `json:"tied,omitempty"`
	Next           string          `json:"suggestedNextStage"`
	Seed           uint64          `json:"seed"`
}

// Entry is a line of the list of decisions.
type Entry struct {
	DecisionID string `json:"decisionId"`
	Statement  string `json:"decisionStatement,omitempty"`
	Options    int    `json:"options"`
	Iteration  int    `json:"iteration"`
	Verdict
}

// load returns the decision id and its version, or a new one for "".
func load(c *tools.Call, id string) (Decision, uint64, error) {
	if id == "" {
		if n := len(c.Session.Keys(decisions.Name())); n >= maxDecisions {
			return Decision{}, 0, &fault.Error{
				Kind: fault.TooLarge, Code: "too_many_decisions",
				Public: fmt.Sprintf("this session keeps %d decisions, the most it may: delete one (action delete with its decisionId) or pass a decisionId to analyse it again", n),
			}
		}
		return Decision{Settings: decision.Settings{Method: decision.WeightedSum, HurwiczAlpha: 0.5, Draws: decision.DefaultDraws}}, 0, nil
	}
	d, version, err := decisions.Key(id).ReadVersion(c.Session)
	if err == nil && version == 0 {
		err = unknown(id)
	}
	return d, version, err
}

func unknown(id string) error {
	return tools.Bad("parameters.decisionId", "the id of a decision in this session; action list shows them", id)
}

// keep commits d with its verdict under id, minting one for "", and returns the
// id. If the decision is no longer at version it is a conflict: what was
// analysed is not what is stored.
func keep(ctx context.Context, c *tools.Call, id string, version uint64, d *Decision, res *decision.Result) (string, error) {
	if id == "" {
		id = c.ObjectID("decision")
	}
	stored, at, err := decisions.Key(id).ReadVersion(c.Session)
	if err != nil {
		return "", err
	}
	if attempt := c.Attempt(); at != 0 && attempt != "" && stored.Attempt == attempt {
		*d = stored // by an attempt that did not live to answer
		return id, nil
	}
	d.Iteration++
	d.Attempt = c.Attempt()
	d.Last = Verdict{Method: res.Method, Recommendation: res.Recommendation, Tied: res.Tied, Next: res.Next, Seed: c.Seed()}
	return id, decisions.Key(id).Commit(ctx, c.Session, version, *d)
}

func list(c *tools.Call, out Output) (Output, error) {
	out.Decisions = []Entry{}
	for _, id := range c.Session.Keys(decisions.Name()) {
		d, version, err := decisions.Key(id).ReadVersion(c.Session)
		if err != nil {
			return out, err
		}
		if version == 0 { // deleted since
			continue
		}
		out.Decisions = append(out.Decisions, Entry{id, d.Statement, len(d.Problem.Options), d.Iteration, d.Last})
	}
	return out, nil
}

func get(c *tools.Call, out Output) (Output, error) {
	d, version, err := decisions.Key(out.DecisionID).ReadVersion(c.Session)
	if err == nil && version == 0 {
		err = unknown(out.DecisionID)
	}
	if err != nil {
		return out, err
	}
	d.Attempt = ""
	out.Decision = &d
	return out, nil
}

func remove(ctx context.Context, c *tools.Call, out Output) (Output, error) {
	if _, err := get(c, out); err != nil {
		return out, err
	}
	if err := decisions.Key(out.DecisionID).Delete(ctx, c.Session); err != nil {
		return out, err
	}
	out.Deleted = true
	return out, nil
}
