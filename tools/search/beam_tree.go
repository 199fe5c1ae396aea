package search

import (
	"context"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// beams holds each beam under its own id.
var beams = shelf[beam.Beam]{
	operation: "beam_search", parameter: "beamId", noun: "beam", prefix: "beam_",
	slot: session.NewSlot[beam.Beam]("beam"), empty: func(b *beam.Beam) bool { return len(b.Nodes) == 0 },
}

func (in *BeamInput) start(ctx context.Context, c *tools.Call, out BeamOutput, implied bool) (BeamOutput, error) {
	root := in.Root
	if root == "" {
		root = c.Prompt
	}
	first, scored, err := in.candidates()
	if err != nil {
		return out, err
	}
	var b *beam.Beam
	out.BeamID, err = beams.create(ctx, c, func(id string) (*beam.Beam, error) {
		var err error
		if b, err = beam.New(in.settings(c), root, id); err != nil {
			return nil, flaws(err, inParameters)
		}
		switch {
		case len(first) == 0:
		case scored:
			out.Told, err = openBeam(b, first)
		default:
			out.Tickets, out.Shortage, err = b.Ask(1, time.Now().UTC(), in.ttl())
		}
		return b, err
	})
	if err != nil {
		return out, err
	}
	out.Settings = &b.Settings
	beamCredit(c, b.Settings.Groups, b.Settings.LengthPenalty)
	switch {
	case out.Told != nil:
		out.State, out.BestPath = in.state(b), bestBeamPath(b)
		in.told(c, out.BeamID, *out.Told)
	case len(first) > 0:
		c.Basis(tools.Template)
		c.Warn("not_assessable", "%d of %d candidates have a score, and every one needs it: the search has not begun", countScores(first), len(first))
		beams.next(c, out.BeamID, "tell", "Fill in the scores that are missing.", "ticket", out.Tickets[0].ID, "children", first)
	default:
		if c.Basis(tools.Template); implied {
			bare(c, "a beam needs steps that you propose and score")
		}
		beams.next(c, out.BeamID, "ask", "Get the ticket of the root, to tell the first steps with their scores.")
	}
	return out, nil
}

// openBeam tells the first generation.
func openBeam(b *beam.Beam, first []beam.Child) (*beam.Told, error) {
	now := time.Now().UTC()
	tickets, _, err := b.Ask(1, now, time.Minute)
	if err != nil {
		return nil, err
	}
	told, err := b.Tell(tickets[0].ID, beam.Tell{Children: first}, now)
	if err != nil {
		return nil, flaws(err, func(path string) string {
			var i int
			var field string
			if n, _ := fmt.Sscanf(path, "children[%d].%s", &i, &field); n == 2 {
				return fmt.Sprintf("parameters.candidates[%d].%s", i, field)
			}
			return "parameters.candidates"
		})
	}
	return &told, nil
}

// candidates reads the first steps and reports whether all are scored.
func (in *BeamInput) candidates() (list []beam.Child, scored bool, err error) {
	scored = true
	for i, raw := range in.Candidates {
		var o beam.Child
		text, is, err := texted(raw, &o)
		if is {
			o.Content = text
		}
		if err != nil || o.Content == "" {
			return nil, false, tools.Bad(fmt.Sprintf("parameters.candidates[%d]", i), `a text, or an object such as {"content": "…", "score": 0.5}`, string(raw))
		}
		if i < len(in.Scores) && in.Scores[i] != nil {
			o.Score = in.Scores[i]
		}
		scored = scored && o.Score != nil
		list = append(list, o)
	}
	return list, scored, nil
}

func countScores(list []beam.Child) (n int) {
	for _, c := range list {
		if c.Score != nil {
			n++
		}
	}
	return n
}

// settings are those of a new beam. What has been left out is zero, which means
// the default.
func (in *BeamInput) settings(c *tools.Call) beam.Settings {
	s := beam.Settings{
		Width: or(in.Width), Depth: or(in.Iterations), Aggregate: beam.Aggregate(in.Aggregation), LengthPenalty: or(in.LengthPenalty),
		Decay: or(in.Decay), Merge: beam.Merge(in.Merge), Similarity: or(in.Similarity), Groups: or(in.Groups), Diversity: in.Diversity,
		Prune: beam.Prune(in.Pruning), Margin: or(in.Threshold),
	}
	if v := in.Convergence; v != nil {
		s.Stop = beam.Stop{Patience: or(v.Patience), MinImprovement: or(v.MinImprovement), Target: v.Target, Gap: v.Gap, Consensus: or(v.Consensus)}
	}
	if n := c.Limits.Nodes; n > 0 {
		s.MaxNodes = int(min(n, beam.MaxNodes))
	}
	return s
}

// or returns what p points to, zero for nothing.
func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (in *BeamInput) update(ctx context.Context, c *tools.Call, fn func(*beam.Beam) error) error {
	return beams.update(ctx, c, in.BeamID, func(b *beam.Beam) error {
		beamCredit(c, b.Settings.Groups, b.Settings.LengthPenalty)
		return fn(b)
	})
}

func (in *BeamInput) ask(ctx context.Context, c *tools.Call, out BeamOutput, now time.Time) (BeamOutput, error) {
	err := in.update(ctx, c, func(b *beam.Beam) (err error) {
		out.Tickets, out.Shortage, err = b.Ask(in.N, now, in.ttl())
		return err
	})
	if err != nil {
		return out, err
	}
	for _, t := range out.Tickets {
		beams.next(c, in.BeamID, "tell", fmt.Sprintf("Fill in children: ways to go on from %s, each with its score; or complete, if nothing is missing.", quote(t.Path[len(t.Path)-1])),
			"ticket", t.ID, "children", []map[string]any{{"content": "", "score": nil}})
	}
	if len(out.Tickets) == 0 {
		beams.next(c, in.BeamID, "show", "No ticket is to be had now: see where the search stands.")
	}
	return out, nil
}

func (in *BeamInput) tell(ctx context.Context, c *tools.Call, out BeamOutput, now time.Time) (BeamOutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	err := in.update(ctx, c, func(b *beam.Beam) error {
		told, err := b.Tell(in.Ticket, beam.Tell{Children: in.Childs, Complete: in.Complete}, now)
		out.Told = &told
		return err
	})
	if err != nil {
		return out, err
	}
	in.told(c, in.BeamID, *out.Told)
	return out, nil
}

// told says what came of a tell, and what can be done next.
func (in *BeamInput) told(c *tools.Call, id string, told beam.Told) {
	if n := told.Duplicates; n > 0 {
		c.Warn("duplicate_children", "%d children were left out: the path has them already", n)
	}
	if n := told.Dropped; n > 0 {
		c.Warn("beam_full", "%d children were left out: the beam has as many steps as it may", n)
	}
	if told.Done == beam.NotDone {
		beams.next(c, id, "ask", "Go on with the paths that are kept.", "n", 4)
	}
	beams.next(c, id, "show", "See the best paths.")
}

func (in *BeamInput) abandon(ctx context.Context, c *tools.Call, out BeamOutput, now time.Time) (BeamOutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	return out, in.update(ctx, c, func(b *beam.Beam) error { return b.Abandon(in.Ticket, now) })
}

func (in *BeamInput) show(c *tools.Call, out BeamOutput, now time.Time) (BeamOutput, error) {
	b, err := beams.read(c, in.BeamID)
	if err != nil {
		return out, err
	}
	b.Tickets.Expire(now)
	beamCredit(c, b.Settings.Groups, b.Settings.LengthPenalty)
	out.State, out.BestPath = in.state(b), bestBeamPath(b)
	if out.BestPath == nil {
		c.Warn("not_assessable", "no step has been scored yet")
	}
	if b.Done == beam.NotDone {
		beams.next(c, in.BeamID, "ask", "Go on with the paths that are kept.", "n", 4)
	}
	return out, nil
}

func (in *BeamInput) state(b *beam.Beam) *BeamState {
	return &BeamState{
		Generation: b.Generation, Done: b.Done, Paths: b.Paths(in.Best), History: b.History(in.History), Counts: b.Counts(),
		Progress: append([]float64{}, b.Best...), Dropped: b.Dropped, Open: b.Outstanding(),
	}
}

// bestBeamPath returns the best path, nil if no step has a score.
func bestBeamPath(b *beam.Beam) []string {
	if p := b.Paths(1); len(p) > 0 && len(p[0].Scores) > 0 {
		return p[0].Path
	}
	return nil
}

func (in *BeamInput) list(c *tools.Call, out BeamOutput) (BeamOutput, error) {
	out.Beams = []BeamEntry{}
	c.Basis(tools.ClientSupplied)
	now := time.Now()
	err := beams.each(c, func(id string, b *beam.Beam) {
		b.Tickets.Expire(now)
		out.Beams = append(out.Beams, BeamEntry{id, b.Nodes[0].Content, b.Generation, len(b.Nodes), len(b.Tickets.Open), b.Done})
	})
	return out, err
}
