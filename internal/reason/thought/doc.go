// Package thought keeps a validated graph of numbered thoughts and checks what
// they claim.
//
// # From the bottom up
//
// A Thought is an immutable record in a log (chain.go). It stands on a branch,
// has a number there, and names what it follows, what it revises, and, where two
// branches meet, the second thought it follows. Each record carries a SHA-256
// over its own fields and the hashes of the records it refers to, and the chain a
// running digest over all of them (hash.go), so that a change of the past shows.
//
// What holds now is a view of the log (view.go): the effective chain of a branch
// has one slot for each position, held by the newest revision, and marks what
// came before a revision but stands after it as stale until it is revised or
// re-affirmed. Branches are objects that can be switched to, closed and merged
// (place.go, branch.go). The texts of older thoughts can be put aside in blocks
// (seal.go), so that a chain that is stored whole with every thought stays small.
//
// The checks (examine.go) say only what can be computed from the text. Package
// claim finds arithmetic claims and names with values, would rather stay silent
// than misread, and decides with exact rationals. A name that is given two values
// in an effective chain is reported with both places; a thought that repeats a
// recent one is found by the Jaccard index of its word shingles (package
// shingle; Broder 1997). Pattern rules (pattern.go) look at counted features of the
// session, never at the words of a thought.
//
// The package is pure: no clock, no goroutine, no lock. A Chain belongs to its
// caller and survives a round trip through JSON.
package thought
