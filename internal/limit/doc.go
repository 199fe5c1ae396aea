// Package limit bounds how much of the server a tenant, an owner and a token may
// use: calls, their cost and CPU time, by rate and by day.
//
// From the bottom up:
//
//   - gcra.go is the arithmetic of one bucket, pure: values in, values out.
//   - limit.go says what can be configured; plan.go works out once which limits
//     apply to which operation, so that a charge looks nothing up twice.
//   - table.go keeps the buckets. Every bucket of a charge belongs to one tenant,
//     and a tenant to one shard, so one lock makes a charge of any number of
//     buckets one step: no partial charge can be seen, and there is no order of
//     locks to get wrong.
//   - quota.go keeps daily quotas, which outlive the process: a block of a quota
//     is leased from the Source, durably, before any of it is used.
//   - limiter.go decides; a charge that was let through is a Reservation, which
//     is settled with what was really used, or refunded, exactly once.
//   - decision.go words what was decided; charge.go is the way in from a
//     principal and an operation.
//
// A tenant is the bound and an owner, (tenant, issuer, subject), comes next: no
// new token and no new session gives either of them anything back. A token's own
// limit is only for fairness between the tokens of one owner.
//
// The limiter stands behind policy: a call that may not be made spends nothing.
package limit
