package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// RestoreFile puts the file in a backup into dir as the store's. No process may
// use the store there. The whole backup is read, its digest verified and its
// pages checked before anything in dir changes, and the change is one rename.
// The file that was there stays beside it as lyceum.db.before-<UTC time>; if it
// holds records, or cannot be read, force must be set. Records that are
// encrypted still need their key.
func RestoreFile(ctx context.Context, r io.Reader, dir string, force bool) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return openError(dir, err)
	}
	f, err := os.CreateTemp(dir, fileName+".restore-*")
	if err != nil {
		return openError(dir, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename it is not there
	m, err := readBackup(ctx, r, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := checkRestored(f.Name(), m); err != nil {
		return fmt.Errorf("restore: the backup is damaged: %w", err)
	}
	return replaceFile(f.Name(), dir, force)
}

// checkRestored checks a file as far as that is possible without its keys.
func checkRestored(path string, m Manifest) error {
	return guard(func() error {
		db, err := bolt.Open(path, fileMode, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, PreLoadFreelist: true, ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		if err := checkLength(db, m.Bytes); err != nil {
			return err
		}
		return db.View(func(tx *bolt.Tx) error {
			if found := checkTree(tx); len(found) > 0 {
				return found[0]
			}
			b := tx.Bucket([]byte(bucketMeta))
			if b == nil || string(b.Get(metaID)) != m.Store {
				return errors.New("it is not the store that its first line names")
			}
			if schema, err := readSchema(b); err != nil || schema != m.Schema {
				return errors.New("it does not have the schema that its first line names")
			}
			return nil
		})
	})
}

// replaceFile moves from into place, and what is there aside.
func replaceFile(from, dir string, force bool) error {
	path := filepath.Join(dir, fileName)
	release, err := claim(dir, path, force)
	if err != nil {
		return err
	}
	defer release()
	aside := path + ".before-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	err = os.Link(path, aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(path, aside) // a file system without links
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore: keep the old file: %w", err)
	}
	if err := os.Rename(from, path); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return syncDir(dir)
}

// claim locks the file that is to be replaced, so that nobody uses it, and says
// whether it may be replaced. A file that cannot be opened cannot be in use:
// the lock comes before all else.
func claim(dir, path string, force bool) (release func(), err error) {
	release = func() {}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return release, nil
	case err != nil:
		return release, openError(dir, err)
	case info.Size() == 0:
		return release, nil
	}
	db, _, err := openOnce(path)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return release, openError(dir, err)
	case err == nil:
		release = func() { _ = db.Close() }
	}
	if force {
		return release, nil
	}
	if err != nil {
		return release, fault.Wrap(fault.Conflict, err, path+" exists and cannot be read: restore with force to keep it aside")
	}
	full, err := hasRecords(db)
	if err == nil && !full {
		return release, nil
	}
	release()
	return func() {}, fault.Wrap(fault.Conflict, errors.Join(errRefused, err), "the store in "+dir+" has records: restore with force to keep it aside")
}

var errRefused = errors.New("restore refused")

// hasRecords reports whether a file holds anything of a session or an owner, or
// is of another program.
func hasRecords(db *bolt.DB) (full bool, err error) {
	err = guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			for _, name := range []string{bucketSessions, bucketObjects} {
				b := tx.Bucket([]byte(name))
				if b == nil {
					full = true
					return nil
				}
				if k, _ := b.Cursor().First(); k != nil {
					full = true
				}
			}
			return nil
		})
	})
	return full, err
}
