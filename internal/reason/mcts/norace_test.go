//go:build !race

package mcts_test

// sampled is the step at which an exhaustive test goes through its instances.
const sampled = 1
