package ticket_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestLifeOfATicket(t *testing.T) {
	b := ticket.Book[string]{Tag: "one"}
	o, ok := b.Issue("expand", []int{3}, start.Add(time.Minute))
	id := b.ID(o.Number)
	if !ok || id != "t1.one" || !b.Holds("expand", 3) || b.Holds("vote", 3) {
		t.Fatalf("issued %+v as %s", o, id)
	}
	for _, foreign := range []string{"t1", "t1.two", "t01.one", "1.one", "t1.one.one", "t+1.one", ""} {
		if _, err := b.Find(foreign); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%q is found: %v", foreign, err)
		}
	}
	if n := b.Expire(start.Add(time.Minute - 1)); n != 0 {
		t.Errorf("%d expired early", n)
	}
	digest := ticket.Digest("answer")
	if _, known, _ := b.Repeat(id, digest); known {
		t.Error("answered before it was")
	}
	b.Settle(o.Number, digest, "result")
	if r, known, err := b.Repeat(id, digest); r != "result" || !known || err != nil {
		t.Errorf("repeated: %q, %t, %v", r, known, err)
	}
	if _, known, err := b.Repeat(id, ticket.Digest("other")); !known || fault.KindOf(err) != fault.Conflict {
		t.Errorf("another answer: %v", err)
	}
	if _, err := b.Find(id); fault.KindOf(err) != fault.NotFound {
		t.Errorf("it is still open: %v", err)
	}
	o, _ = b.Issue("expand", []int{0}, start)
	if err := b.Abandon(b.ID(o.Number), start); fault.KindOf(err) != fault.NotFound {
		t.Errorf("given back when it was due: %v", err)
	}
}

func TestBookIsBounded(t *testing.T) {
	var b ticket.Book[int]
	for range 3 * ticket.MaxOpen {
		o, ok := b.Issue("expand", []int{0}, start)
		if !ok {
			break
		}
		if o.Number%2 == 0 {
			b.Settle(o.Number, "d", 1)
		}
	}
	if len(b.Open) > ticket.MaxOpen || len(b.Receipts) > 256 {
		t.Errorf("%d open, %d answered", len(b.Open), len(b.Receipts))
	}
	if err := b.Validate(1, func(string) bool { return true }); err != nil {
		t.Error(err)
	}
}

func TestValidateRefusesForgeries(t *testing.T) {
	for _, text := range []string{
		`{"tag":"a b"}`,
		`{"last":1,"open":[{"number":2,"nodes":[0],"kind":"expand"}]}`,
		`{"last":2,"open":[{"number":2,"nodes":[0],"kind":"expand"},{"number":1,"nodes":[0],"kind":"expand"}]}`,
		`{"last":2,"open":[{"number":1,"nodes":[5],"kind":"expand"}]}`,
		`{"last":2,"open":[{"number":1,"nodes":[],"kind":"expand"}]}`,
		`{"last":2,"open":[{"number":1,"nodes":[0],"kind":"other"}]}`,
		`{"last":2,"open":[{"number":1,"nodes":[0],"kind":"expand"}],"receipts":[{"number":1}]}`,
		`{"last":2,"receipts":[{"number":1},{"number":1}]}`,
		`{"last":2,"receipts":[{"number":3}]}`,
	} {
		var b ticket.Book[int]
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		if err := b.Validate(1, func(kind string) bool { return kind == "expand" }); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}
