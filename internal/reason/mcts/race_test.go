//go:build race

package mcts_test

// sampled is the step at which an exhaustive test goes through its instances:
// the race detector makes each ten times as slow.
const sampled = 16
