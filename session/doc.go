// Package session holds sessions bound to their owners, within limits, until
// they end.
//
// A tour, bottom up. An entry (entry.go) is one session: some 200 bytes, and
// more only once somebody asks for its context, a hook or a slot. A shard
// (shard.go) is a lock and all the sessions of the owners that hash to it; what
// it holds of one tenant is a part (part.go), whose catalogue is a simplelru in
// order of the last completed call. The ledger (ledger.go) counts per tenant
// and over all, so that a cap holds exactly however many open at once; room.go
// makes room at a cap; sweep.go ends what has expired. A Directory
// (directory.go) is all of that, and a Handle (handle.go) is one call's hold on
// a session.
//
// State lives in typed slots (slot.go) over a state (state.go): versioned JSON
// of which every commit is a compare-and-swap. The version is the truth; that
// the updates of one session run one after the other only spares them retries.
//
// # Lifetime
//
// The idle TTL counts from the last completed call; looking at a session is no
// use. The absolute TTL counts from the opening. Both are checked whenever a
// session is looked up, so a late sweeper resurrects nothing. A session with a
// call in flight or an open stream is never evicted and never idle. If its age
// limit passes, it drains: nobody finds it, the calls finish, then its context
// is canceled, which ends the streams, then it ends. Whoever else ends a
// session cancels its context at once. Every end has one reason, one event and
// one run of the teardown hooks.
//
// # Locks
//
// shard.mu → ledger.mu, shard.mu → state.mu; never two shards. A state's turn
// is taken before any of them, and held while Update runs foreign code; the
// mutexes never are. Hooks, cancellations and events wait for the unlock.
package session
