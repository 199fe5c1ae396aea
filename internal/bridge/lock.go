package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// A lock file is touched by its holder every lockBeat; one that nobody touched
// for lockStale belongs to a process that is gone.
const (
	lockBeat  = time.Second
	lockStale = 10 * time.Second
	lockPoll  = 50 * time.Millisecond
)

// lockFile waits until this process holds the lock at path, and returns what
// gives it back. busy is called once if another process has it. Exclusive creation
// works alike on every system and file system. Two processes that take over the
// same stale lock in one instant may both get it: the price is a second login.
func lockFile(ctx context.Context, path string, busy func()) (unlock func(), err error) {
	id := rand.Text()
	var seen time.Time // the modification time that was seen last
	var since time.Time
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(id)
			if err = errors.Join(err, f.Close()); err != nil {
				return nil, errors.Join(err, os.Remove(path))
			}
			return holdLock(path, id), nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock the login: %w", err)
		}
		if busy != nil {
			busy()
			busy = nil
		}
		// The clock of the file system may differ from ours, so what counts is how
		// long the time stays the same.
		info, err := os.Stat(path)
		switch {
		case err != nil: // given back meanwhile
		case !info.ModTime().Equal(seen):
			seen, since = info.ModTime(), time.Now()
		case time.Since(since) > lockStale:
			_ = os.Remove(path) // another waiter may have done so
			seen = time.Time{}
		}
		t := time.NewTimer(lockPoll)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		case <-t.C:
		}
	}
}

// holdLock touches the lock file until the function that it returns is called.
func holdLock(path, id string) (unlock func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(lockBeat)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				_ = os.Chtimes(path, now, now) // if it is gone, others go on: see lockFile
			}
		}
	})
	return func() {
		close(stop)
		wg.Wait()
		if text, err := os.ReadFile(path); err == nil && string(text) == id {
			_ = os.Remove(path) // if it stays, it becomes stale
		}
	}
}
