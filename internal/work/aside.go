package work

import "context"

// Aside gives the turn up while wait waits for something that is not
// computing, such as a person's answer, and returns with the next turn. Like
// Yield it fails only if ctx has ended, with the reason; then the ticket has
// been released. wait must return once ctx has ended.
func (t *Ticket) Aside(ctx context.Context, wait func()) error { return t.rest(ctx, wait) }
