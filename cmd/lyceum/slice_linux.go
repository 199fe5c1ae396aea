package main

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sliceThreads asks the kernel to let each thread of this process run for no
// longer than d while others wait. Where every core computes, a thread that wakes
// up to read a request waits for the end of somebody's slice, of which there are
// several in each call; the kernel's own is long beside a call of 2 ms. Threads
// that are started later inherit it. Linux before 6.12 takes it and ignores it.
func sliceThreads(d time.Duration) error {
	var failed error
	seen := map[int]bool{}
	for more := true; more; { // until none was started by one that came later in the list
		more = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil || seen[id] {
				continue
			}
			seen[id], more = true, true
			if err := sliceThread(id, d); err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
				failed = err
			}
		}
	}
	return failed
}

func sliceThread(id int, d time.Duration) error {
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil {
		return err
	}
	if attr.Policy != unix.SCHED_NORMAL && attr.Policy != unix.SCHED_BATCH {
		return nil // somebody has chosen another way to schedule it
	}
	attr.Runtime = uint64(d)
	return unix.SchedSetAttr(id, attr, 0)
}
