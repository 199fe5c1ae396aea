package filestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// Store is a session.Store in a file.
type Store struct {
	// These do not change after Open.
	dir, path string
	vault     *vault
	meta      meta
	pageSize  int64
	maxBytes  int64 // 0: no limit
	keepSize  bool  // Config.NoCompact
	log       *slog.Logger

	// db is the open file. Only the writer replaces it, see tidy.go.
	db atomic.Pointer[bolt.DB]

	requests chan *request // to the writer; of no places
	quit     chan struct{} // closed by Close
	writer   sync.WaitGroup
	once     sync.Once
	closeErr error // owned by once

	sessions, objects atomic.Int64

	// The writer owns these.
	broken error // why nothing can be written any more
	tidier tidier
}

var _ session.Store = (*Store)(nil)

// Open opens the store in cfg.Dir, or creates it, and starts its writer, which
// Close ends. It waits a second for another process that uses the store, and
// then fails with fault.Unavailable.
func Open(ctx context.Context, cfg Config) (*Store, error) { return open(ctx, cfg, current()) }

func open(ctx context.Context, cfg Config, l layout) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, dirMode); err != nil {
		return nil, openError(cfg.Dir, err)
	}
	db, err := openFile(cfg.Dir)
	if err != nil {
		return nil, err
	}
	removeLeftovers(cfg.Dir)
	m, v, err := prepare(db, cfg, l)
	if err != nil {
		_ = db.Close()
		return nil, openError(cfg.Dir, err)
	}
	if db, err = compact(ctx, db, cfg, log); err != nil {
		if db != nil {
			_ = db.Close()
		}
		return nil, openError(cfg.Dir, err)
	}
	s := &Store{
		dir: cfg.Dir, path: filepath.Join(cfg.Dir, fileName),
		vault: v, meta: m, log: log, pageSize: int64(db.Info().PageSize), maxBytes: cfg.MaxBytes, keepSize: cfg.NoCompact,
		requests: make(chan *request), quit: make(chan struct{}),
	}
	s.db.Store(db)
	if err := s.count(); err != nil {
		_ = db.Close()
		return nil, openError(cfg.Dir, err)
	}
	if err := os.WriteFile(s.pidPath(), []byte(strconv.Itoa(os.Getpid())+"\n"), fileMode); err != nil {
		log.WarnContext(ctx, "pid file not written", "path", s.pidPath(), "error", err)
	}
	s.writer.Go(s.write)
	return s, nil
}

func (s *Store) pidPath() string { return filepath.Join(s.dir, pidName) }

// count fills the counters. It reads every page that holds keys.
func (s *Store) count() error {
	return guard(func() error {
		return s.db.Load().View(func(tx *bolt.Tx) error {
			s.sessions.Store(int64(tx.Bucket([]byte(bucketSessions)).Stats().KeyN))
			s.objects.Store(int64(tx.Bucket([]byte(bucketObjects)).Stats().KeyN))
			return nil
		})
	})
}

// ID is the random name that the store got when it was created. Backups carry it.
func (s *Store) ID() string { return s.meta.id }

// Close answers the requests that the writer has taken, refuses those that it
// has not, and closes the file when no reader is left.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.quit)
		s.writer.Wait()
		_ = os.Remove(s.pidPath())
		s.closeErr = s.db.Load().Close()
	})
	return s.closeErr
}

// view runs f on the last commit. f does no I/O of its own and calls nobody's
// code: the pages that a reader sees cannot be used again while it runs.
func (s *Store) view(ctx context.Context, f func(tx *bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		select {
		case <-s.quit:
			return errClosed
		default:
		}
		db := s.db.Load()
		err := guard(func() error { return db.View(f) })
		if !errors.Is(err, berrors.ErrDatabaseNotOpen) {
			return err
		}
		if s.db.Load() == db {
			return errClosed
		}
		// The file was replaced before f had begun.
	}
}

// Usage counts what is stored, in constant time.
func (s *Store) Usage(ctx context.Context) (session.Usage, error) {
	var end int64 // of the pages that were ever used
	if err := s.view(ctx, func(tx *bolt.Tx) error { end = tx.Size(); return nil }); err != nil {
		return session.Usage{}, err
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return session.Usage{}, fault.Wrap(fault.Unavailable, fmt.Errorf("usage: %w", err), "the session store is not there")
	}
	return session.Usage{
		Sessions: int(s.sessions.Load()), Objects: int(s.objects.Load()),
		Bytes: info.Size(), Free: freePages(s.db.Load())*s.pageSize + max(0, info.Size()-end),
	}, nil
}
