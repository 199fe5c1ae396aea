package work_test

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/work"
)

// A call acquires a ticket, computes in steps and yields between them.
func Example() {
	sched := work.New(work.Config{Tickets: 2})
	ctx := context.Background()

	ticket, err := sched.Acquire(ctx, work.Claim{Tenant: "acme", Subject: "alice", Lane: work.Interactive})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ticket.Release()

	sum := 0
	for i := range 1000 {
		sum += i
		if err := ticket.Yield(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(sum)
	// Output: 499500
}

// A parallel computation merges its results in index order, so they are the
// same on any number of cores.
func ExampleFan() {
	sched := work.New(work.Config{Tickets: 2})
	ticket, err := sched.Acquire(context.Background(), work.Claim{Tenant: "acme", Lane: work.Batch})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ticket.Release()

	squares := make([]int, 5)
	err = work.Fan(work.NewContext(context.Background(), ticket), len(squares), func(ctx context.Context, i int) error {
		squares[i] = i * i
		return work.FromContext(ctx).Yield(ctx)
	})
	fmt.Println(squares, err)
	// Output: [0 1 4 9 16] <nil>
}
