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
// An owner can grant others of its tenant access to one session (grant.go). The
// grants are in the entry; guest.go finds it for a grantee, who is the key of that
// look-up as the owner is of the other, and grant_store.go keeps them in the
// session's record. A grant is asked for again at every read and commit.
//
// State lives in typed slots (slot.go) over a state (state.go): versioned JSON
// of which every commit (commit.go) is a compare-and-swap. The version is the
// truth; that the updates of one session run one after the other only spares them
// retries. Its bytes are under caps too (room_bytes.go).
//
// # Store
//
// A Directory of New lives in memory. One of Restore (restore.go) is over a Store
// (storage.go): its keeper (keeper.go) makes every commit durable before anybody
// sees it, and every deletion by an owner or an operator before it is
// acknowledged. The rest is written behind, in batches (flush.go): the last uses,
// the first record of a session without commits, the deletion of what a TTL or a
// cap has ended. The state of idle sessions leaves memory and comes back with the
// next Acquire (cold.go); what names and counts it stays.
//
// A session that ended is not stored again: its record is deleted by its grave in
// the keeper, whoever stores it for the first time makes sure of that afterwards,
// and a later change finds no record to change. A write of which the outcome is
// not known makes the state unsure, and the next writer reads it again.
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
// shard.mu → ledger.mu, shard.mu → state.mu, shard.mu → keeper.mu, shard.mu → the
// guests.mu of any shard; never two shards. A state's turn is taken before any of them, and held while Update runs
// foreign code and while the store works; the mutexes never are. Under shard.mu a
// turn is only tried. A claim to store a session for the first time is waited for
// under no mutex; its holder waits for the store only. Hooks, cancellations and
// events wait for the unlock.
package session
