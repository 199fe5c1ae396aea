package limit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/limit"
)

// A call is charged before it runs, and settled with what it used.
func ExampleLimiter_Enter() {
	l, err := limit.New(limit.Config{
		Limits: []limit.Limit{{Name: "owner_calls", Per: limit.PerOwner, Amount: 60, Period: time.Minute, Burst: 2}},
		Quotas: []limit.Quota{{Name: "owner_cpu_day", Per: limit.PerOwner, Unit: limit.CPU, Amount: int64(time.Hour)}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	alice := &identity.Principal{Tenant: "acme", Issuer: "https://issuer.example", Subject: "alice", TokenKey: "5f0c"}
	for range 3 {
		r, d, refused := l.Enter(ctx, alice, "mcts", limit.Price{CPU: 30 * time.Second})
		if refused != nil {
			fmt.Println(refused.Code, refused.RetryAfter.Round(time.Second))
			fmt.Println(d.Headers())
			continue
		}
		fmt.Println(d.Limit, d.Remaining)
		r.Settle(limit.Usage{CPU: 120 * time.Millisecond})
	}
	// Output:
	// owner_calls 1
	// owner_calls 0
	// owner_calls_rate_limited 1s
	// "owner_calls";q=2;w=2 "owner_calls";r=0;t=1
}
