package search_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/internal/reason/forgetest"
	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/reason/pdr"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/session"
)

// planters put a forged object into a session as an import would, past all
// checks but Validate.
var planters = []func(d *desk, h *session.Handle, name string, data []byte) bool{
	plant[beam.Beam], plant[tot.Tree], plant[got.Graph], plant[pdr.Research],
}

func plant[T any, P interface {
	*T
	Validate() error
}](d *desk, h *session.Handle, name string, data []byte) bool {
	d.Helper()
	var v T
	if json.Unmarshal(data, &v) != nil || P(&v).Validate() != nil {
		return false
	}
	base, id, _ := strings.Cut(name, "/")
	err := session.NewSlot[T](base).Key(id).Update(context.Background(), h, func(stored *T) error {
		*stored = v
		return nil
	})
	if err != nil {
		d.Fatal(err)
	}
	return true
}

// What Validate lets in can be used: nothing panics, and no failure is internal.
func TestForgedObjects(t *testing.T) {
	const forged = 400
	for i, k := range keepers {
		t.Run(k.operation, func(t *testing.T) {
			d := newDesk(t)
			id := d.begin(k)
			for range 3 {
				out, _ := must[struct {
					Tickets []struct{ Ticket string }
				}](d, k.operation, `{"action":"ask",%q:%q,"n":2}`, k.id, id)
				if len(out.Tickets) > 0 {
					must[any](d, k.operation, "%s", k.told(id, out.Tickets[0].Ticket, k.tell))
				}
			}
			h, err := d.dir.Acquire(t.Context(), d.owner, d.id)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Release()
			cell := cells(t, h)[0]
			var env struct{ Data json.RawMessage }
			if err := json.Unmarshal(cell.Data, &env); err != nil {
				t.Fatal(err)
			}
			taken := 0
			for seed := range uint64(forged) {
				data := forgetest.Mutate(rand.New(rand.NewPCG(seed, 5)), env.Data, 2)
				if !planters[i](d, h, cell.Name, data) {
					continue
				}
				taken++
				d.use(k, id, data)
			}
			t.Logf("%d of %d forged objects are in order", taken, forged)
			if taken < 10 || taken > forged*9/10 {
				t.Errorf("%d of %d forged objects accepted: the test does not reach far", taken, forged)
			}
		})
	}
}

// use does all that can be done with an object.
func (d *desk) use(k kept, id string, data []byte) {
	d.Helper()
	try := func(format string, args ...any) json.RawMessage {
		e, err := d.send(k.operation, format, args...)
		if err != nil && fault.KindOf(err) == fault.Internal && e.Error.Code != "invalid_arguments" {
			d.Fatalf("%s: %v\n%s", fmt.Sprintf(format, args...), err, data)
		}
		return e.Result
	}
	for range 3 {
		var out struct {
			Tickets []struct{ Ticket string }
		}
		if json.Unmarshal(try(`{"action":"ask",%q:%q,"n":3}`, k.id, id), &out) != nil {
			continue
		}
		for _, t := range out.Tickets {
			try("%s", k.told(id, t.Ticket, k.tell))
			try("%s", k.told(id, t.Ticket, `"value":1`))
			try("%s", k.told(id, t.Ticket, `"votes":[1]`))
		}
	}
	for _, p := range []string{`"action":"show"`, `"action":"analyze","from":0,"to":1`, `"action":"run_pass"`, `"action":"synthesize"`, `"action":"export","format":"json"`, `"action":"export","format":"svg"`} {
		try(`{%s,%q:%q}`, p, k.id, id)
	}
	try(`{"action":"list"}`)
}
