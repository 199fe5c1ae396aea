package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// file is what the writer needs of a file.
type file interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// opener opens a file to write, empty or as it is.
type opener func(path string, empty bool) (file, error)

func openFile(path string, empty bool) (file, error) {
	flags := os.O_CREATE | os.O_RDWR
	if empty {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// Segment is one file of a log.
type Segment struct {
	Number int
	Path   string
}

const (
	filePrefix = "audit-"
	fileSuffix = ".jsonl"
)

func fileName(number int) string { return fmt.Sprintf("%s%08d%s", filePrefix, number, fileSuffix) }

// Segments returns the files of the log in dir, oldest first.
func Segments(dir string) ([]Segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	var all []Segment
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), filePrefix)
		digits, ends := strings.CutSuffix(digits, fileSuffix)
		n, err := strconv.Atoi(digits)
		if ok && ends && err == nil && n > 0 && e.Name() == fileName(n) {
			all = append(all, Segment{n, filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(all, func(a, b Segment) int { return a.Number - b.Number })
	return all, nil
}

// segment is the file that is being written.
type segment struct {
	file   file // nil before the first
	name   string
	number int
	size   int64 // end of the last whole line
	trim   bool  // there may be more behind size
	filled bool  // it has records of callers: a log that nobody uses begins no files
	opened time.Time
}

// mend cuts off what a failed write left.
func (w *writer) mend() error {
	if !w.trim || w.file == nil {
		return nil
	}
	if err := w.file.Truncate(w.size); err != nil {
		return fmt.Errorf("cut %s back to its last whole record: %w", w.name, err)
	}
	w.trim = false
	return nil
}

// write appends the composed lines to the file.
func (w *writer) write() error {
	if len(w.out) == 0 {
		return nil
	}
	w.log.counters.writes.Add(1)
	return writeAll(w.file, w.out, w.size, w.name)
}

func writeAll(f file, b []byte, at int64, name string) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// turn begins a new file when there is none, or the present one is full, old or
// not to be trusted.
func (w *writer) turn(now time.Time) error {
	full := w.filled && (w.size >= w.cfg.MaxFileBytes || now.Sub(w.opened) >= w.cfg.MaxAge)
	if w.file != nil && !w.renew && !full {
		return nil
	}
	if w.file != nil && !w.renew {
		if err := w.seal(now); err != nil {
			return err
		}
	}
	next := segment{number: w.number + 1, opened: now}
	next.name = filepath.Join(w.cfg.Dir, fileName(next.number))
	f, err := w.cfg.files(next.name, true)
	if err != nil {
		return fmt.Errorf("begin an audit file: %w", err)
	}
	saved := w.chain
	w.out = w.out[:0]
	w.header(now, next.number)
	err = writeAll(f, w.out, 0, next.name)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(w.cfg.Dir)
	}
	if err != nil {
		w.chain = saved
		return errors.Join(fmt.Errorf("begin an audit file: %w", err), f.Close(), os.Remove(next.name))
	}
	if w.file != nil {
		w.closed = append(w.closed, Segment{w.number, w.name})
		if err := w.file.Close(); err != nil { // nothing is lost: it was synced, or given up
			w.cfg.Log.Warn("an audit file does not close", "file", w.name, "error", err)
		}
	}
	next.file, next.size = f, int64(len(w.out))
	w.segment = next
	w.renew, w.doubtful, w.damage, w.dirty, w.synced = false, false, "", time.Time{}, w.chain.seq
	w.log.counters.files.Add(1)
	w.publish()
	if err := w.retire(now); err != nil {
		w.cfg.Log.Warn("old audit files were not deleted", "dir", w.cfg.Dir, "error", err)
	}
	return nil
}

// header composes the first lines of a file.
func (w *writer) header(now time.Time, number int) {
	kind := Chain
	if w.damage != "" {
		kind = Broken
	}
	part := appendText(appendTime(nil, now), "kind", string(kind), maxKind)
	part = appendNumber(part, "file", uint64(number))
	part = appendNumber(part, "after", w.chain.seq)
	part = appendNumber(part, "every", uint64(w.cfg.CheckpointEvery))
	w.signed(appendText(part, "reason", w.damage, maxReason))
	if w.doubtful {
		part := appendText(appendTime(nil, now), "kind", string(Gap), maxKind)
		part = appendNumber(appendNumber(part, "lost", 0), "refused", 0)
		w.line(now, appendText(part, "reason", fmt.Sprintf(
			"an fsync failed: the records from %d to %d may not be on the disk", w.synced+1, w.chain.seq-1), maxReason))
	}
}

// retire deletes files that are not to be kept. The log says so first, signed,
// so that a file that is missing without such a record was not deleted by us.
func (w *writer) retire(now time.Time) error {
	n := 0
	if w.cfg.KeepFiles > 0 {
		n = max(0, len(w.closed)+1-w.cfg.KeepFiles)
	}
	for w.cfg.KeepAge > 0 && n < len(w.closed) {
		info, err := os.Stat(w.closed[n].Path)
		if err != nil || now.Sub(info.ModTime()) < w.cfg.KeepAge {
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	last := w.closed[n-1]
	head, err := lastLine(last.Path)
	if err != nil {
		return err
	}
	saved := w.chain
	part := appendText(appendTime(nil, now), "kind", string(Retention), maxKind)
	part = appendNumber(part, "file", uint64(last.Number))
	part = appendNumber(part, "after", head.Seq)
	part = appendText(part, "after_hash", head.Hash, maxHandle)
	w.out = w.out[:0]
	w.signed(appendText(part, "reason", fmt.Sprintf("files from %s to %s are deleted",
		filepath.Base(w.closed[0].Path), filepath.Base(last.Path)), maxReason))
	err = w.write()
	if err == nil {
		w.dirty = now
		err = w.file.Sync()
	}
	if err != nil {
		w.chain, w.trim = saved, true
		return err
	}
	w.dirty = time.Time{}
	w.synced = w.chain.seq
	w.size += int64(len(w.out))
	for _, s := range w.closed[:n] {
		if err := os.Remove(s.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err // it is tried again when the next file begins
		}
		w.log.counters.deleted.Add(1)
	}
	w.closed = slices.Delete(w.closed, 0, n)
	w.publish()
	return syncDir(w.cfg.Dir)
}
