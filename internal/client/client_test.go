package client

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

func TestCleanupsRunInReverseOnce(t *testing.T) {
	var c Context
	var got []int
	for i := range 3 {
		c.Defer(func() { got = append(got, i) })
	}
	c.End()
	c.End()
	if want := []int{2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("cleanups ran as %v, want %v", got, want)
	}
	c.Defer(func() { got = append(got, 9) })
	if got[len(got)-1] != 9 {
		t.Error("a cleanup registered after the end did not run at once")
	}
}

func TestCleanupPanicDoesNotStopTheOthers(t *testing.T) {
	var c Context
	var got []int
	c.Defer(func() { got = append(got, 0) })
	c.Defer(func() { panic("boom") })
	c.Defer(func() { got = append(got, 2) })
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v, want the cleanup's panic", p)
			}
		}()
		c.End()
	}()
	if !slices.Equal(got, []int{2, 0}) {
		t.Errorf("ran %v, want [2 0]", got)
	}
}

func TestConcurrentEndRunsEachCleanupOnce(t *testing.T) {
	var c Context
	var mu sync.Mutex
	n := 0
	for range 100 {
		c.Defer(func() { mu.Lock(); n++; mu.Unlock() })
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(c.End)
	}
	wg.Wait()
	if n != 100 {
		t.Errorf("%d cleanups ran, want 100", n)
	}
}

func TestFirstFailureStays(t *testing.T) {
	var c Context
	first := errors.New("first")
	c.Fail(first)
	c.Fail(errors.New("second"))
	if c.Outcome() != first {
		t.Errorf("outcome %v, want the first", c.Outcome())
	}
}
