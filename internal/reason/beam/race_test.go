//go:build race

package beam_test

import "time"

// cancelWithin allows for the race detector, under which a step takes ten times as
// long.
const cancelWithin = 100 * time.Millisecond
