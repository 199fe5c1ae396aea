package seed

import "testing"

// The first outputs of SplitMix64 from state 0, from its published reference.
func TestMixIsSplitMix64(t *testing.T) {
	state := uint64(0)
	for _, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		state += golden
		if got := mix(state); got != want {
			t.Errorf("mix(%#x) = %#x, want %#x", state, got, want)
		}
	}
}
