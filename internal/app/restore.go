package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
)

// restoreFolder is where, below the data directory, a running server looks for
// backups: who may put a file there may read the store anyway.
const restoreFolder = "restore"

// returners is how many sessions come back at a time; the store writes those of
// one moment together.
const returners = 32

// bringBack opens the backup of that name beside the store and brings back what it
// has and the server lacks. What was brought back stays when a later step fails;
// doing it again goes on.
func (a *App) bringBack(ctx context.Context, name string) (n api.ReturnCount, err error) {
	if a.store == nil {
		return n, &fault.Error{Kind: fault.NotFound, Code: "no_store", Public: "the server keeps nothing beyond its process: start it without --store memory"}
	}
	if name == "." || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return n, fault.Newf(fault.Invalid, "file %q: want the name of a file in the folder %s of the data directory, without a path", name, restoreFolder)
	}
	backup, done, err := a.openBackup(ctx, name)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := a.returnSessions(ctx, backup, &n); err != nil {
		return n, err
	}
	if err := a.returnResults(ctx, backup, &n); err != nil {
		return n, err
	}
	for _, err := range backup.Objects(ctx, "job", nil) {
		if err != nil {
			return n, err
		}
		n.Jobs++
	}
	return n, nil
}

// openBackup unpacks a backup into a folder of its own and opens it. done closes
// and removes that.
func (a *App) openBackup(ctx context.Context, name string) (store *filestore.Store, done func() error, err error) {
	f, err := os.Open(filepath.Join(a.cfg.Data, restoreFolder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.Newf(fault.NotFound, "there is no file %q in the folder %s of the data directory", name, restoreFolder)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	dir, err := os.MkdirTemp(a.cfg.Data, restoreFolder+"-*")
	if err != nil {
		return nil, nil, fmt.Errorf("unpack the backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir) // what failed is told
		}
	}()
	if err := filestore.RestoreFile(ctx, f, dir, false); err != nil {
		return nil, nil, &fault.Error{Kind: fault.Invalid, Code: "backup_damaged", Public: fmt.Sprintf("the file %q is no whole backup: %v", name, err), Err: err}
	}
	keys, err := storageKeys(a.cfg.Storage)
	if err != nil {
		return nil, nil, err
	}
	store, err = filestore.Open(ctx, filestore.Config{Dir: dir, Keys: keys, Log: a.log, NoCompact: true})
	if err != nil {
		return nil, nil, err
	}
	return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
}

func (a *App) returnSessions(ctx context.Context, backup session.Store, n *api.ReturnCount) error {
	var mu sync.Mutex // guards n
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(returners)
	for rec, err := range backup.Records(ctx, nil) {
		if err != nil {
			_ = g.Wait() // the first error counts
			return err
		}
		g.Go(func() error {
			snap, err := backup.Load(ctx, rec.Key)
			if err != nil {
				return err
			}
			back, err := a.sessions.Readmit(ctx, snap)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if back {
				n.Sessions++
			} else {
				n.Left++
			}
			return nil
		})
	}
	return g.Wait()
}

func (a *App) returnResults(ctx context.Context, backup session.Store, n *api.ReturnCount) error {
	now := time.Now()
	for o, err := range backup.Objects(ctx, "result", nil) {
		if err != nil {
			return err
		}
		if !o.Expires.IsZero() && o.Expires.Before(now) {
			continue
		}
		_, err := a.store.LoadObject(ctx, o.ObjectKey)
		if err == nil {
			continue
		}
		if !errors.Is(err, session.ErrNoRecord) {
			return err
		}
		if err := a.store.PutObject(ctx, o); err != nil {
			return err
		}
		n.Results++
	}
	return nil
}
