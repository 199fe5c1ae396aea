package filestore

import (
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// tidyEvery is how often the writer looks whether the file is worth a copy.
	tidyEvery = 5 * time.Second
	// tidyMin is how large the used part of the file must have been.
	tidyMin = 16 << 20
	// tidyMost bounds what is copied while the store is in use: writes wait for it.
	tidyMost = 32 << 20
	// tidyPause is how long a copy is not tried again after one has failed.
	tidyPause = 10 * time.Minute
)

// A file never shrinks by itself: after a flood it stays as large as it was, and
// so do its pages in memory and the list of what is free in it. So the writer,
// between two commits, puts a copy without gaps in its place when three quarters
// are free and the rest is small. Readers go on; those that have begun finish
// in the old file.

// tidier is what the writer remembers from one look to the next.
type tidier struct {
	ripe  bool      // the last look found that it is worth it
	after time.Time // of the last failure, when to try again
}

// tidy replaces the file with a smaller copy if two looks in a row found it
// worth it, so that one that is about to be filled again is left alone.
func (s *Store) tidy() {
	was := s.tidier.ripe
	s.tidier.ripe = s.broken == nil && !s.keepSize && s.mostlyFree()
	if !was || !s.tidier.ripe || time.Now().Before(s.tidier.after) {
		return
	}
	s.tidier.ripe = false
	before := s.end()
	if err := guard(s.replace); err != nil {
		s.tidier.after = time.Now().Add(tidyPause)
		s.log.Warn("store not compacted", "path", s.path, "error", err)
		return
	}
	s.log.Info("store compacted", "path", s.path, "bytes_before", before, "bytes_after", s.end())
}

// end is where the used part of the file ends.
func (s *Store) end() (size int64) {
	_ = guard(func() error {
		return s.db.Load().View(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	})
	return size
}

func (s *Store) mostlyFree() bool {
	end := s.end()
	used := end - freePages(s.db.Load())*s.pageSize
	return end >= tidyMin && used <= end/4 && used <= tidyMost
}

// replace copies what is in the file to a new one and goes on with that. Both
// are locked, so no other process gets in between. It fails without effect, or
// leaves the store broken: when it is not known which of the two a crash would
// leave, nothing more may be acknowledged.
func (s *Store) replace() error {
	old := s.db.Load()
	name, db, err := makeCompact(old, s.dir)
	if err != nil {
		return err
	}
	if err := os.Rename(name, s.path); err != nil {
		_ = db.Close()
		_ = os.Remove(name)
		return err
	}
	s.db.Store(db)
	s.writer.Go(func() { _ = old.Close() }) // waits for its readers; nothing is written to it any more
	if err := syncDir(s.dir); err != nil {
		s.broken = err
		return err
	}
	return nil
}
