package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const (
	fileName = "lyceum.db"
	pidName  = "lyceum.pid"

	fileMode = 0o600
	dirMode  = 0o700

	lockWait   = time.Second
	compactMin = 1 << 20 // a file smaller than this is not worth a copy
	compactTx  = 16 << 20
)

var errPage = errors.New("the file is damaged")

// guard turns a panic of f into an error. bbolt panics where a page makes no
// sense, and the file is mapped: reading past a cut end is a fault.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPage, p)
		}
	}()
	return f()
}

// openFile opens and locks the file of dir. It tries again if the file was
// replaced while it waited for the lock of the old one.
func openFile(dir string) (*bolt.DB, error) {
	path := filepath.Join(dir, fileName)
	for {
		db, same, err := openOnce(path)
		if err != nil {
			return nil, openError(dir, err)
		}
		if same {
			return db, nil
		}
		_ = db.Close()
	}
}

func openOnce(path string) (db *bolt.DB, same bool, err error) {
	var f *os.File
	err = guard(func() error {
		var err error
		db, err = bolt.Open(path, fileMode, &bolt.Options{
			Timeout:      lockWait,
			FreelistType: bolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				var err error
				f, err = os.OpenFile(name, flag, mode)
				return f, err
			},
		})
		return err
	})
	if err != nil {
		if f != nil {
			unlock(f) // what panicked has left it open
			_ = f.Close()
		}
		return nil, false, err
	}
	mine, err := f.Stat()
	if err == nil {
		var named os.FileInfo
		named, err = os.Stat(path)
		same = err == nil && os.SameFile(mine, named)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil && same {
		err = guard(func() error { return checkLength(db, mine.Size()) })
	}
	if err != nil {
		_ = db.Close()
		return nil, false, err
	}
	return db, same, nil
}

// checkLength compares the file with what its header says.
func checkLength(db *bolt.DB, size int64) error {
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("%w: it is cut off at %d of %d bytes", berrors.ErrInvalid, size, tx.Size())
		}
		return nil
	})
}

// openError says in plain words why a store does not open.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fault.Wrap(fault.Unavailable, err, dir+" is in use by another lyceum process"+holder(dir)+": stop that one, or choose another directory")
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Unavailable, err, "the store in "+dir+" needs permission to read and write its directory and file")
	case errors.Is(err, syscall.EROFS):
		return fault.Wrap(fault.Unavailable, err, "the store in "+dir+" is on a file system that is mounted read-only: choose another directory, or mount it for writing")
	case isFull(err):
		return fault.Wrap(fault.Unavailable, err, "the store in "+dir+" has no space left on its disk: make room there")
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%s is not the file of a store, or it is damaged; restore a backup: %w", filepath.Join(dir, fileName), err)
	}
	return fmt.Errorf("open the store in %s: %w", dir, err)
}

// holder names the process that holds the lock, as far as it left its number.
func holder(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, pidName))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

// compact replaces the file with a copy without gaps if more than half of it is
// free, and returns what is open then. A copy that fails costs nothing but time.
func compact(ctx context.Context, db *bolt.DB, cfg Config, log *slog.Logger) (*bolt.DB, error) {
	path := filepath.Join(cfg.Dir, fileName)
	info, err := os.Stat(path)
	if err != nil {
		return db, err
	}
	free := freePages(db) * int64(db.Info().PageSize)
	if cfg.NoCompact || info.Size() < compactMin || 2*free <= info.Size() {
		return db, nil
	}
	if err := guard(func() error { return copyCompact(db, cfg.Dir) }); err != nil {
		log.WarnContext(ctx, "store not compacted", "path", path, "error", err)
		return db, nil
	}
	// The old file is locked until here, and nobody can open it any more.
	if err := db.Close(); err != nil {
		return nil, err
	}
	db, err = openFile(cfg.Dir)
	if err != nil {
		return nil, err
	}
	after, err := os.Stat(path)
	if err == nil {
		log.InfoContext(ctx, "store compacted", "path", path, "bytes_before", info.Size(), "bytes_after", after.Size())
	}
	return db, nil
}

func copyCompact(db *bolt.DB, dir string) error {
	name, dst, err := makeCompact(db, dir)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(name) }() // after the rename it is not there
	if err := dst.Close(); err != nil {
		return err
	}
	if err := os.Rename(name, filepath.Join(dir, fileName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// makeCompact makes a copy of db without gaps in a file of its own, open and on
// the disk. If it fails, nothing is left.
func makeCompact(db *bolt.DB, dir string) (name string, dst *bolt.DB, err error) {
	f, err := os.CreateTemp(dir, fileName+".compact-*")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Close(); err != nil {
		return "", nil, err
	}
	dst, err = bolt.Open(f.Name(), fileMode, &bolt.Options{
		Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoSync: true, PageSize: db.Info().PageSize,
	})
	if err != nil {
		return "", nil, err
	}
	err = guard(func() error { return bolt.Compact(dst, db, compactTx) })
	if err == nil {
		err = dst.Sync()
	}
	if err != nil {
		return "", nil, errors.Join(err, dst.Close())
	}
	dst.NoSync = false
	return f.Name(), dst, nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// freePages is how many pages nothing uses.
func freePages(db *bolt.DB) int64 {
	st := db.Stats()
	return int64(st.FreePageN + st.PendingPageN)
}

// removeLeftovers deletes copies that a killed process left. The caller holds
// the lock, so nobody makes one now.
func removeLeftovers(dir string) {
	for _, pattern := range []string{".compact-*", ".backup-*"} {
		names, _ := filepath.Glob(filepath.Join(dir, fileName+pattern))
		for _, name := range names {
			_ = os.Remove(name)
		}
	}
}
