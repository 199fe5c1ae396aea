package job_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
)

// A call waits for its result as long as it can; then its caller gets an id.
func Example() {
	ctx := context.Background()
	r := job.New(job.Config{}, job.NewMemoryStore(), nil, slog.New(slog.DiscardHandler))
	defer r.Close()
	alice := session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "alice"}
	call := func(takes chan struct{}, patience time.Duration) job.ID {
		h, err := r.Start(ctx, job.Spec{
			Owner: alice, Operation: "double", Input: json.RawMessage(`21`),
			Run: func(ctx context.Context, run *job.Run) (json.RawMessage, error) {
				select {
				case <-takes:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				var n int
				if err := json.Unmarshal(run.Input(), &n); err != nil {
					return nil, err
				}
				return json.Marshal(2 * n)
			},
		})
		if err != nil {
			fmt.Println(err)
			return ""
		}
		if out, done := h.Inline(ctx, patience); done {
			fmt.Println("inline:", out.State, string(out.Result))
			return h.ID()
		}
		fmt.Println("job:", h.Detach().State)
		return h.ID()
	}

	quick, slow := make(chan struct{}), make(chan struct{})
	close(quick)
	_, err := r.Get(ctx, alice, call(quick, time.Minute))
	fmt.Println(fault.KindOf(err))

	id := call(slow, time.Millisecond)
	close(slow)
	j, err := r.Wait(ctx, alice, id, time.Minute)
	fmt.Println(j.State, string(j.Result), err)

	mallory := session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "mallory"}
	_, err = r.Get(ctx, mallory, id)
	fmt.Println(fault.KindOf(err), err)
	// Output:
	// inline: completed 42
	// not_found
	// job: running
	// completed 42 <nil>
	// not_found Job not found or expired. Start the operation again to get a new one.
}
