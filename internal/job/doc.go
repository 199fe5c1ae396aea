// Package job keeps runs that outlive the request that started them: their
// state, progress, result and owner.
//
// A tour, bottom up. A Job (job.go) is what its owner may know of a run, and
// its State (state.go) moves only as one table allows. A Record (record.go) is
// the job as it is stored, in a Store (store.go) whose contract is the suite
// jobtest. An entry (entry.go) is a job in this process. The Runner (runner.go)
// counts them per owner and over all and refuses what is over a bound
// (admit.go), runs each on a goroutine of its own (execute.go), writes them
// (persist.go), forgets them in time (sweep.go), stops them (drain.go) and
// takes over what another process left (recover.go). A Run (run.go) is what the
// operation sees, a Handle (handle.go) what the request that started it holds.
//
// # One result, one way
//
// A new job is attached to its handle. While it is, Handle.Inline may take the
// result, and then no record is left: a short call never looks like a job.
// Handle.Detach makes it a job that its owner finds by id, Handle.Abandon stops
// and forgets it. Whichever comes first wins; a result is delivered once or
// stored once, never both and never neither.
//
// # What survives
//
// A job is in the store before Start returns, or, if it is a late one (Spec.Late),
// before anybody is told of it. That it runs is written before it runs, and that
// it has ended before anybody can see it, so no answer given is lost with the
// process. A job found in the store as running was interrupted:
// it goes on from its last checkpoint, with its seed, if its operation can be
// resumed; otherwise it has failed, because running it twice could do twice
// what it does. A store belongs to one process at a time.
//
// # Locks
//
// Runner.mu → entry.mu. No store, no operation, no event and no cancellation is
// called under either. The writes of one job take turns (entry.turn), so that
// the last one always stores the newest state.
package job
