//go:build !race

package tot_test

import "time"

const cancelWithin = 10 * time.Millisecond
