//go:build !race

package beam_test

import "time"

const cancelWithin = 10 * time.Millisecond
