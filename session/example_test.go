package session_test

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// plan is what one tool keeps in a session.
type plan struct {
	Steps []string `json:"steps"`
}

var plans = session.NewSlot[plan]("plan")

func Example() {
	ctx := context.Background()
	d := session.New(session.Config{}, nil)
	defer d.Close()
	alice := session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "alice"}

	h, err := d.Open(ctx, alice, session.Params{Name: "launch"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Release()
	err = plans.Update(ctx, h, func(p *plan) error {
		p.Steps = append(p.Steps, "write the brief")
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, _, _ := plans.Read(h)
	fmt.Println(h.Version(), p.Steps)

	mallory := session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "mallory"}
	_, err = d.Acquire(ctx, mallory, h.ID())
	fmt.Println(fault.KindOf(err), err)
	// Output:
	// 1 [write the brief]
	// not_found Session not found or expired. Create a new one with session_create.
}

// A long computation takes a snapshot and commits only if nobody else did.
func ExampleSlot_Commit() {
	ctx := context.Background()
	d := session.New(session.Config{}, nil)
	defer d.Close()
	h, err := d.Open(ctx, session.Owner{Subject: "alice"}, session.Params{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Release()

	snapshot, version, _ := plans.ReadVersion(h)
	snapshot.Steps = append(snapshot.Steps, "computed for a long time")
	plans.Update(ctx, h, func(p *plan) error { p.Steps = []string{"meanwhile"}; return nil })

	err = plans.Commit(ctx, h, version, snapshot)
	fmt.Println(fault.KindOf(err), err)
	// Output:
	// conflict the session's "plan" is at version 1, the call expects 0: read it again and retry
}
