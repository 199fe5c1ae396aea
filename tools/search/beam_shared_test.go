package search_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

// kept is an operation that keeps objects, and how to use one.
type kept struct {
	operation, id, start string
	prepare              string // before the first ask
	tell, other          string // two answers to the first ticket
}

var keepers = []kept{
	{"beam_search", "beamId", `{"root":"r"}`, "", `"children":[{"content":"a","score":1}]`, `"children":[{"content":"b","score":1}]`},
	{"tree_of_thought", "treeId", `{"root":"r"}`, "", `"children":[{"content":"a","value":0.5}]`, `"children":[{"content":"b","value":0.5}]`},
	{"graph_of_thought", "graphId", `{"roots":["r","s"],"plan":[{"id":"w","kind":"generate","count":2}]}`, "", `"thoughts":[{"content":"a"}]`, `"thoughts":[{"content":"b"}]`},
	{"pdr_reasoning", "researchId", `{"question":"q","subjects":[{"id":"a","content":"apple","score":1}]}`, "select", `"confidence":0.5`, `"confidence":0.6`},
}

// begin starts an object and returns its id.
func (d *desk) begin(k kept) string {
	d.Helper()
	out, _ := must[map[string]any](d, k.operation, "%s", k.start)
	id := out[k.id].(string)
	if k.prepare != "" {
		must[map[string]any](d, k.operation, `{"action":%q,%q:%q}`, k.prepare, k.id, id)
	}
	return id
}

// ask returns the first ticket that is to be had.
func (d *desk) ask(k kept, id string, seconds int) string {
	d.Helper()
	out, _ := must[struct {
		Tickets []struct{ Ticket string }
	}](d, k.operation, `{"action":"ask",%q:%q,"ticketSeconds":%d}`, k.id, id, seconds)
	if len(out.Tickets) == 0 {
		d.Fatalf("%s: no ticket", k.operation)
	}
	return out.Tickets[0].Ticket
}

func (k kept) told(id, ticket, answer string) string {
	return fmt.Sprintf(`{"action":"tell",%q:%q,"ticket":%q,%s}`, k.id, id, ticket, answer)
}

func TestTickets(t *testing.T) {
	for _, k := range keepers {
		t.Run(k.operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				one, two := d.begin(k), d.begin(k)
				ticket, foreign := d.ask(k, one, 60), d.ask(k, two, 60)
				code := func(what, parameters, code string) {
					t.Helper()
					e, err := d.send(k.operation, "%s", parameters)
					if err == nil || e.Error.Code != code {
						t.Errorf("%s: %v, want %s", what, err, code)
					}
				}
				code("foreign", k.told(one, foreign, k.tell), "ticket_not_open")
				code("unknown", k.told(one, "t99", k.tell), "ticket_not_open")
				code("abandon foreign", fmt.Sprintf(`{"action":"abandon",%q:%q,"ticket":%q}`, k.id, one, foreign), "ticket_not_open")
				_, first := must[any](d, k.operation, "%s", k.told(one, ticket, k.tell))
				_, again := must[any](d, k.operation, "%s", k.told(one, ticket, k.tell))
				if string(first.Result) != string(again.Result) {
					t.Errorf("told again\n%s\nat first\n%s", again.Result, first.Result)
				}
				code("told otherwise", k.told(one, ticket, k.other), "conflict")
				code("abandon told", fmt.Sprintf(`{"action":"abandon",%q:%q,"ticket":%q}`, k.id, one, ticket), "ticket_not_open")

				must[any](d, k.operation, `{"action":"abandon",%q:%q,"ticket":%q}`, k.id, two, foreign)
				code("abandoned", k.told(two, foreign, k.tell), "ticket_not_open")
				late := d.ask(k, two, 5)
				time.Sleep(6 * time.Second)
				code("late", k.told(two, late, k.tell), "ticket_not_open")
				must[any](d, k.operation, "%s", k.told(two, d.ask(k, two, 5), k.tell)) // handed out again
			})
		})
	}
}

func TestObjectsStayInTheirSession(t *testing.T) {
	for _, k := range keepers {
		d := newDesk(t)
		id := d.begin(k)
		ticket := d.ask(k, id, 60)
		other := func(why string) {
			t.Helper()
			for _, action := range []string{"ask", "show", "export", "delete"} {
				d.refused("parameters."+k.id, "in this session", k.operation, `{"action":%q,%q:%q}`, action, k.id, id)
			}
			d.refused("parameters."+k.id, "in this session", k.operation, "%s", k.told(id, ticket, k.tell))
			if out, _ := must[map[string]any](d, k.operation, `{"action":"list"}`); strings.Contains(fmt.Sprint(out), id) {
				t.Errorf("%s sees %v", why, out)
			}
		}
		home := d.id
		d.open()
		other("another session")
		d.owner.Subject = "mallory"
		d.open()
		other("another owner")
		if _, err := d.dir.Acquire(t.Context(), d.owner, home); err == nil {
			t.Error("another owner acquires the session")
		}
	}
}

func TestObjectsAreBounded(t *testing.T) {
	for _, k := range keepers {
		d := newDesk(t)
		for range 50 {
			must[any](d, k.operation, "%s", k.start)
		}
		e, err := d.send(k.operation, "%s", k.start)
		if fault.KindOf(err) != fault.TooLarge || e.Error.Code != "too_many_objects" || !strings.Contains(e.Error.Message, k.id) {
			t.Errorf("%s 51: %v", k.operation, err)
		}
	}
}

func TestNodesAreBounded(t *testing.T) {
	d := newDesk(t)
	out, e := must[search.BeamOutput](d, "beam_search", `{"root":"r","maxNodes":3,"candidates":["a","b","c"],"scores":[1,2,3]}`)
	if out.Told.Dropped != 1 || !warned(e, "beam_full") || out.Settings.MaxNodes != 3 {
		t.Errorf("a full beam takes %+v, warnings %v", out.Told, e.Warnings)
	}
	tree, e := must[search.ToTOutput](d, "tree_of_thought", `{"root":"r","maxNodes":3,"branches":["a","b","c"],"evaluations":[1,2,3]}`)
	if tree.Told.Dropped != 1 || !warned(e, "tree_full") {
		t.Errorf("a full tree takes %+v, warnings %v", tree.Told, e.Warnings)
	}
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 500), ",")
	graph, _ := must[search.GoTOutput](d, "graph_of_thought", `{"nodes":[%s]}`, many)
	for range 9 {
		must[search.GoTOutput](d, "graph_of_thought", `{"graphId":%q,"nodes":[%s]}`, graph.GraphID, many)
	}
	if _, err := d.send("graph_of_thought", `{"graphId":%q,"nodes":["one more"]}`, graph.GraphID); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("thought 5001: %v", err)
	}
	research, e := must[search.PDROutput](d, "pdr_reasoning", `{"question":"q","budgets":{"scan":2},"subjects":["a","b","c"]}`)
	if len(research.Added.Dropped) != 1 || !warned(e, "round_full") {
		t.Errorf("a full round takes %+v, warnings %v", research.Added, e.Warnings)
	}
}

// Whoever asks and tells at the same time: no ticket is lost or taken twice.
func TestParallelTickets(t *testing.T) {
	const clients = 64
	names := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("%q", fmt.Sprint("c", i)))
		}
		return strings.Join(out, ",")
	}
	scores := strings.TrimSuffix(strings.Repeat("0.5,", clients), ",")
	for _, x := range []struct {
		k     kept
		start string
		count func(d *desk, id string) int // tells that were accepted
	}{
		{keepers[0], fmt.Sprintf(`{"root":"r","beamWidth":%d,"iterations":2,"candidates":[%s],"scores":[%s]}`, clients, names(clients), scores), func(d *desk, id string) int {
			out, _ := must[search.BeamOutput](d, "beam_search", `{"beamId":%q}`, id)
			return out.State.Counts["expanded"] - 1 + 10*len(out.State.Open)
		}},
		{keepers[1], fmt.Sprintf(`{"root":"r","breadth":%d,"branches":[%s],"evaluations":[%s]}`, clients, names(clients), scores), func(d *desk, id string) int {
			out, _ := must[search.ToTOutput](d, "tree_of_thought", `{"treeId":%q}`, id)
			return len(out.State.Visited) - 1 + 10*len(out.State.Open)
		}},
		{keepers[2], fmt.Sprintf(`{"roots":[%s],"plan":[{"id":"w","kind":"generate","count":2}]}`, names(clients)), func(d *desk, id string) int {
			out, _ := must[search.GoTOutput](d, "graph_of_thought", `{"graphId":%q}`, id)
			return out.State.Plan[0].Told + 10*len(out.State.Open)
		}},
	} {
		t.Run(x.k.operation, func(t *testing.T) {
			d := newDesk(t)
			out, _ := must[map[string]any](d, x.k.operation, "%s", x.start)
			id := out[x.k.id].(string)
			var mu sync.Mutex
			seen := map[string]int{} // guarded by mu
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					e, err := d.send(x.k.operation, `{"action":"ask",%q:%q}`, x.k.id, id)
					var out struct {
						Tickets []struct{ Ticket string }
					}
					if err != nil || json.Unmarshal(e.Result, &out) != nil || len(out.Tickets) != 1 {
						t.Errorf("ask: %v, %v", out.Tickets, err)
						return
					}
					mu.Lock()
					seen[out.Tickets[0].Ticket]++
					mu.Unlock()
					for range 2 { // the second is a repetition
						if _, err := d.send(x.k.operation, "%s", x.k.told(id, out.Tickets[0].Ticket, x.k.tell)); err != nil {
							t.Errorf("tell: %v", err)
						}
					}
				})
			}
			wg.Wait()
			if got := x.count(d, id); got != clients || len(seen) != clients {
				t.Errorf("%d tells were accepted of %d tickets, want %d", got, len(seen), clients)
			}
		})
	}
}

func TestOneTicketManyTellers(t *testing.T) {
	for _, k := range keepers {
		d := newDesk(t)
		id := d.begin(k)
		ticket := d.ask(k, id, 60)
		var mu sync.Mutex
		kinds := map[fault.Kind]int{} // guarded by mu
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				answer := k.tell
				if i%2 == 1 {
					answer = k.other
				}
				_, err := d.send(k.operation, "%s", k.told(id, ticket, answer))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					kinds[fault.Internal]++ // stands for success
				} else {
					kinds[fault.KindOf(err)]++
				}
			})
		}
		wg.Wait()
		if kinds[fault.Internal] != 32 || kinds[fault.Conflict] != 32 {
			t.Errorf("%s: %v, want 32 successes and 32 conflicts", k.operation, kinds)
		}
	}
}

func TestExamplesOfTheFamily(t *testing.T) {
	for _, tool := range []tools.Tool{search.Beam, search.TreeOfThought, search.GraphOfThought, search.PDR} {
		s := tool.Spec()
		if len(s.Summary) > 200 {
			t.Errorf("%s: the summary has %d bytes", s.Name, len(s.Summary))
		}
		for _, x := range s.Examples {
			d := newDesk(t)
			e, err := d.call(x.Arguments)
			if err != nil || len(e.Warnings) != 0 || e.Basis == "" || e.Method == "" || e.Source == "" {
				t.Errorf("%s: %v, warnings %v, basis %q, method %q, source %q", x.Title, err, e.Warnings, e.Basis, e.Method, e.Source)
				continue
			}
			for _, n := range e.Next { // what needs no filling in works as it stands
				p, err := json.Marshal(n.Parameters)
				if err != nil {
					t.Fatal(err)
				}
				if text := string(p); strings.Contains(text, "null") || strings.Contains(text, `""`) {
					continue
				}
				if _, err := d.send(n.Operation, "%s", p); err != nil {
					t.Errorf("%s: next %s: %v", x.Title, p, err)
				}
			}
		}
	}
}

// What the operations keep is what session_import accepts.
func TestSlotTypesTakeWhatIsKept(t *testing.T) {
	d := newDesk(t)
	for _, k := range keepers {
		id := d.begin(k)
		must[any](d, k.operation, "%s", k.told(id, d.ask(k, id, 60), k.tell))
	}
	h, err := d.dir.Acquire(t.Context(), d.owner, d.id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	checked := 0
	for _, kind := range search.SlotTypes() {
		for _, cell := range cells(t, h) {
			if base, _, _ := strings.Cut(cell.Name, "/"); base != kind.Name {
				continue
			}
			checked++
			if err := kind.Check(cell.Name, cell.Data); err != nil {
				t.Errorf("%s: %v", cell.Name, err)
			}
			if kind.Check(kind.Name+"/x", cell.Data) == nil || kind.Check(cell.Name, []byte(`{"schema":1,"data":{}}`)) == nil {
				t.Errorf("%s takes anything", kind.Name)
			}
		}
	}
	if checked != len(keepers) {
		t.Errorf("%d cells of %d operations", checked, len(keepers))
	}
}

func cells(t *testing.T, h *session.Handle) []session.Cell {
	t.Helper()
	s, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s.Cells
}
