//go:build !linux

package main

import "time"

// sliceThreads does nothing where the system has no such wish.
func sliceThreads(time.Duration) error { return nil }
