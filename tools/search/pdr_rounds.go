package search

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/pdr"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// researches holds each research under its own id.
var researches = shelf[pdr.Research]{
	operation: "pdr_reasoning", parameter: "researchId", noun: "research", prefix: "research_",
	slot: session.NewSlot[pdr.Research]("pdr_reasoning"), empty: func(r *pdr.Research) bool { return r.Question == "" },
}

// tries is how often a pass is computed when other calls change the research
// meanwhile.
const tries = 4

func (in *PDRInput) start(ctx context.Context, c *tools.Call, out PDROutput, implied bool) (PDROutput, error) {
	question := in.Question
	if question == "" {
		question = c.Prompt
	}
	var r *pdr.Research
	var err error
	out.ResearchID, err = researches.create(ctx, c, func(id string) (*pdr.Research, error) {
		var err error
		if r, err = pdr.New(in.settings(), question, id); err != nil {
			return nil, flaws(err, pdrSetting)
		}
		return r, flaws(in.extend(r, &out), inParameters)
	})
	if err != nil {
		return out, err
	}
	out.Settings = &r.Settings
	c.Basis(tools.ClientSupplied)
	if len(r.Subjects) > 0 {
		in.scanned(c, out.ResearchID, out)
		return out, nil
	}
	if c.Basis(tools.Template); implied {
		bare(c, "a research needs subjects that you find")
	}
	researches.next(c, out.ResearchID, "add", fmt.Sprintf("Scan: fill in up to %d subjects with a score of their relevance each.", r.Settings.Scan),
		"subjects", []any{map[string]any{"id": "", "content": "", "type": "subject", "score": nil}})
	return out, nil
}

// pdrSetting names a setting as the parameter that it came from.
func pdrSetting(path string) string {
	if slices.Contains([]string{"scan", "select", "deepen"}, path) {
		path = "budgets." + path
	}
	return inParameters(path)
}

func (in *PDRInput) settings() pdr.Settings {
	s := pdr.Settings{
		Likeness: pdr.Likeness(in.Likeness), Relevance: pdr.Relevance(in.Relevance), Threshold: or(in.Threshold), Resolution: or(in.Resolution),
		Lambda: in.Lambda, Rounds: or(in.Passes), MinImprovement: in.Improve, Confidence: in.Confidence, Coverage: in.Coverage,
	}
	if b := in.Budgets; b != nil {
		s.Scan, s.Select, s.Deepen = or(b.Scan), or(b.Select), or(b.Deepen)
	}
	return s
}

// subjects reads subjects given as texts or as objects. One without an id gets
// the prefix and a number that is free.
func (in *PDRInput) subjects(prefix string, taken func(id string) bool) ([]pdr.Subject, error) {
	var list []pdr.Subject
	used := map[string]bool{}
	number := 0
	for i, raw := range in.Subjects {
		var o struct {
			ID, Content, Type string
			Score             *float64
			Vector            []float64
		}
		text, is, err := texted(raw, &o)
		if is {
			o.Content = text
		}
		if err != nil || o.Content == "" {
			return nil, tools.Bad(fmt.Sprintf("parameters.subjects[%d]", i), `a text, or an object such as {"id": "a", "content": "…", "type": "concept", "score": 0.5}`, string(raw))
		}
		for o.ID == "" {
			number++
			if id := fmt.Sprintf("%s%d", prefix, number); !taken(id) && !used[id] {
				o.ID = id
			}
		}
		used[o.ID] = true
		list = append(list, pdr.Subject{ID: o.ID, Content: o.Content, Type: o.Type, Score: o.Score, Vector: o.Vector})
	}
	return list, nil
}

// knows reports whether a research has a subject of some id.
func knows(r *pdr.Research) func(id string) bool {
	return func(id string) bool {
		return slices.ContainsFunc(r.Subjects, func(s pdr.Subject) bool { return s.ID == id })
	}
}

// extend adds the subjects and edges of the call.
func (in *PDRInput) extend(r *pdr.Research, out *PDROutput) error {
	list, err := in.subjects("s", knows(r))
	if err != nil {
		return err
	}
	if len(list) > 0 {
		added, err := r.Add(list)
		if err != nil {
			return err
		}
		out.Added = &added
	}
	for i, e := range in.Edges {
		edge := pdr.Edge{From: e.From, To: e.To, Type: e.Type, Weight: 1}
		if e.Weight != nil {
			edge.Weight = *e.Weight
		}
		if err := r.Connect(edge); err != nil {
			return flaws(err, func(path string) string {
				return fmt.Sprintf("parameters.edges[%d]%s", i, path[len("edge"):])
			})
		}
		out.Connected++
	}
	return nil
}

// scanned says what came of adding subjects, and what can be done next.
func (in *PDRInput) scanned(c *tools.Call, id string, out PDROutput) {
	if a := out.Added; a != nil && len(a.Dropped) > 0 {
		c.Warn("round_full", "%d subjects were left out: a round takes as many new ones as budgets.scan says", len(a.Dropped))
	}
	researches.next(c, id, "run_pass", "Divide the subjects into clusters and select those to deepen.")
}

func (in *PDRInput) add(ctx context.Context, c *tools.Call, out PDROutput) (PDROutput, error) {
	if len(in.Subjects)+len(in.Edges) == 0 {
		return out, tools.Bad("parameters.subjects", "subjects to add, or edges", "nothing")
	}
	c.Basis(tools.ClientSupplied)
	if err := researches.update(ctx, c, in.ResearchID, func(r *pdr.Research) error { return in.extend(r, &out) }); err != nil {
		return out, err
	}
	in.scanned(c, in.ResearchID, out)
	return out, nil
}

func (in *PDRInput) takeOut(ctx context.Context, c *tools.Call, out PDROutput) (PDROutput, error) {
	c.Basis(tools.ClientSupplied)
	return out, researches.update(ctx, c, in.ResearchID, func(r *pdr.Research) error {
		err := r.Remove(in.Subject)
		if fault.KindOf(err) == fault.NotFound {
			return tools.Bad("parameters.subject", "the id of a subject of the research", in.Subject)
		}
		return err
	})
}

// compute does the passes that are computed. They may take long, so they are
// computed on a copy, and again if another call was faster.
func (in *PDRInput) compute(ctx context.Context, c *tools.Call, out PDROutput, now time.Time) (PDROutput, error) {
	meter := c.Meter(ctx)
	err := researches.slot.Key(in.ResearchID).Retry(ctx, c.Session, tries, func(_ context.Context, r pdr.Research) (pdr.Research, error) {
		if researches.empty(&r) {
			return r, researches.unknown(in.ResearchID)
		}
		r.Tickets.Expire(now)
		if in.Action == "synthesize" {
			report, err := r.Synthesize(meter)
			out.Report = &report
			return r, err
		}
		if in.Action != "select" {
			p, err := r.Cluster(meter)
			if err != nil {
				return r, err
			}
			out.Partition = &p
		}
		if in.Action != "cluster" {
			s, err := r.Select(meter)
			out.Selection = &s
			return r, err
		}
		return r, nil
	})
	if err != nil {
		return out, flaws(err, inParameters)
	}
	in.computed(c, out)
	return out, nil
}

// computed names the methods of the passes, and says what can be done next.
func (in *PDRInput) computed(c *tools.Call, out PDROutput) {
	switch in.Action {
	case "cluster":
		c.Method("Modularity by local moving", "Blondel et al. 2008; Newman & Girvan 2004")
		researches.next(c, in.ResearchID, "select", "Select the subjects to deepen.")
	case "select":
		c.Method("Maximal marginal relevance", "Carbonell & Goldstein 1998")
	case "synthesize":
		c.Method("Coverage and gain of quality", "Blondel et al. 2008")
		if out.Report.Done == pdr.NotDone {
			researches.next(c, in.ResearchID, "add", "Scan again, where the gaps are.", "subjects", []any{map[string]any{"id": "", "content": "", "type": "question", "score": nil}})
			researches.next(c, in.ResearchID, "run_pass", "Or go on with the subjects that are left.")
		} else {
			researches.next(c, in.ResearchID, "export", "Get all of it.", "format", "json")
		}
	}
	if p := out.Partition; p != nil && !p.Complete {
		c.Warn("budget", "the budget ended before the clusters were settled")
	}
	if s := out.Selection; s != nil {
		if n := len(s.NotAssessable); n > 0 {
			c.Warn("not_assessable", "%d subjects have no score and were not considered: give one, or start with relevance pagerank", n)
		}
		if n := len(s.Picks); n > 0 {
			researches.next(c, in.ResearchID, "ask", "Get the tickets of the subjects to deepen.", "n", min(n, 8))
		}
	}
}

func (in *PDRInput) ask(ctx context.Context, c *tools.Call, out PDROutput, now time.Time) (PDROutput, error) {
	c.Basis(tools.ClientSupplied)
	err := researches.update(ctx, c, in.ResearchID, func(r *pdr.Research) (err error) {
		out.Tickets, out.Shortage, err = r.Ask(in.N, now, in.ttl())
		return err
	})
	if err != nil {
		return out, err
	}
	for _, t := range out.Tickets {
		c.Next("tree_of_thought", fmt.Sprintf("Deepen %s by a search of its own.", quote(t.Content)), map[string]any{"action": "start", "root": t.Content})
		researches.next(c, in.ResearchID, "tell", fmt.Sprintf("Fill in what was found out about %s, and how sure you are.", quote(t.Content)),
			"ticket", t.ID, "confidence", nil, "answer", "", "link", map[string]any{"operation": "tree_of_thought", "id": ""})
	}
	if len(out.Tickets) == 0 {
		switch out.Shortage {
		case pdr.NothingNew:
			researches.next(c, in.ResearchID, "run_pass", "Nothing is selected: cluster and select.")
		case pdr.RoundFull:
			researches.next(c, in.ResearchID, "synthesize", "Enough was deepened in this round: close it.")
		default:
			researches.next(c, in.ResearchID, "show", "There is nothing to deepen now: see where the research stands.")
		}
	}
	return out, nil
}

func (in *PDRInput) tell(ctx context.Context, c *tools.Call, out PDROutput, now time.Time) (PDROutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	if err := in.linked(c); err != nil {
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	// Told again, the same texts must be the same subjects.
	number, _, _ := strings.Cut(in.Ticket, ".")
	found, err := in.subjects(number+"-", func(string) bool { return false })
	if err != nil {
		return out, err
	}
	err = researches.update(ctx, c, in.ResearchID, func(r *pdr.Research) error {
		told, err := r.Tell(in.Ticket, pdr.Finding{Confidence: in.Sure, Answer: in.Answer, Link: in.Link, Subjects: found}, now)
		out.Told = &told
		return err
	})
	if err != nil {
		return out, err
	}
	if out.Told.Open == 0 {
		researches.next(c, in.ResearchID, "ask", "Deepen the next one.")
		researches.next(c, in.ResearchID, "synthesize", "Or close the round.")
	}
	return out, nil
}

// linked refuses a link to an object of this family that the session does not
// have.
func (in *PDRInput) linked(c *tools.Call) error {
	if in.Link == nil {
		return nil
	}
	slots := map[string]string{
		"mcts": mctsTrees.Name(), beams.operation: beams.slot.Name(), totTrees.operation: totTrees.slot.Name(), graphs.operation: graphs.slot.Name(),
	}
	slot, ours := slots[in.Link.Operation]
	if ours && !slices.Contains(c.Session.Keys(slot), in.Link.ID) {
		return tools.Bad("parameters.link.id", fmt.Sprintf("the id of an object of %s in this session, or no link", in.Link.Operation), in.Link.ID)
	}
	return nil
}

func (in *PDRInput) abandon(ctx context.Context, c *tools.Call, out PDROutput, now time.Time) (PDROutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	return out, researches.update(ctx, c, in.ResearchID, func(r *pdr.Research) error { return r.Abandon(in.Ticket, now) })
}

func (in *PDRInput) show(ctx context.Context, c *tools.Call, out PDROutput, now time.Time) (PDROutput, error) {
	r, err := researches.read(c, in.ResearchID)
	if err != nil {
		return out, err
	}
	r.Tickets.Expire(now)
	if r.Clusters == 0 && len(r.Subjects) > 0 { // what is measured is measured by clusters
		if _, err := r.Cluster(c.Meter(ctx)); err != nil {
			return out, err
		}
	}
	report := r.Report()
	out.Report = &report
	out.State = &PDRState{Question: r.Question, Round: len(r.Rounds) + 1, Scanned: r.Scanned, Rounds: r.Rounds, Subjects: r.Subjects, Edges: r.Edges, Open: r.Outstanding()}
	for i := range r.Subjects { // an embedding is for computing, not for reading
		r.Subjects[i].Vector = nil
	}
	c.Method("Coverage and gain of quality", "Blondel et al. 2008")
	switch {
	case r.Done != pdr.NotDone:
		out.State.Round--
	case len(r.Subjects) == 0:
		researches.next(c, in.ResearchID, "add", "Scan: fill in subjects with a score of their relevance each.", "subjects", []any{map[string]any{"id": "", "content": "", "score": nil}})
	default:
		researches.next(c, in.ResearchID, "run_pass", "Divide the subjects into clusters and select those to deepen.")
	}
	return out, nil
}

func (in *PDRInput) list(c *tools.Call, out PDROutput) (PDROutput, error) {
	out.Researches = []PDREntry{}
	c.Basis(tools.ClientSupplied)
	now := time.Now()
	err := researches.each(c, func(id string, r *pdr.Research) {
		r.Tickets.Expire(now)
		out.Researches = append(out.Researches, PDREntry{id, r.Question, len(r.Subjects), len(r.Rounds), len(r.Tickets.Open), r.Done})
	})
	return out, err
}
