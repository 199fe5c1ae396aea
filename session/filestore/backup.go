package filestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const (
	backupFormat  = "lyceum-store-backup"
	backupVersion = 1
	trailerPrefix = "sha256 "
	maxHeader     = 4 << 10
)

// Manifest describes a backup. All but SHA256 is its first line, as JSON. The
// file follows, and a last line with the SHA-256 of all before it.
type Manifest struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Schema  uint64    `json:"schema"`
	Store   string    `json:"store"` // Store.ID
	Made    time.Time `json:"made"`
	Bytes   int64     `json:"bytes"` // of the file
	SHA256  string    `json:"-"`     // hexadecimal
}

// Backup writes the last commit to w while the store goes on. It copies the
// file beside itself first, for which the disk must have room, so that a slow w
// holds nothing up. The values stay encrypted as they are.
func (s *Store) Backup(ctx context.Context, w io.Writer) (Manifest, error) {
	m, err := s.backup(ctx, w)
	if err != nil && ctx.Err() == nil {
		err = fault.Wrap(fault.Unavailable, fmt.Errorf("backup of %s: %w", s.path, err), "the backup failed")
	}
	return m, err
}

func (s *Store) backup(ctx context.Context, w io.Writer) (Manifest, error) {
	f, err := os.CreateTemp(s.dir, fileName+".backup-*")
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _, _ = f.Close(), os.Remove(f.Name()) }()
	m := Manifest{Format: backupFormat, Version: backupVersion, Schema: s.meta.schema, Store: s.meta.id, Made: time.Now().UTC()}
	err = s.view(ctx, func(tx *bolt.Tx) error {
		m.Bytes, err = tx.WriteTo(&guardedWriter{ctx, f})
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Manifest{}, err
	}
	head, err := json.Marshal(m)
	if err != nil {
		return Manifest{}, err
	}
	sum := sha256.New()
	out := &guardedWriter{ctx, io.MultiWriter(w, sum)}
	if _, err := out.Write(append(head, '\n')); err != nil {
		return Manifest{}, err
	}
	if _, err := io.Copy(out, f); err != nil {
		return Manifest{}, err
	}
	m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	_, err = io.WriteString(w, trailerPrefix+m.SHA256+"\n")
	return m, err
}

// guardedWriter ends with its context.
type guardedWriter struct {
	ctx context.Context
	w   io.Writer
}

func (g *guardedWriter) Write(p []byte) (int, error) {
	if err := g.ctx.Err(); err != nil {
		return 0, err
	}
	return g.w.Write(p)
}

// readBackup copies the file in a backup to w and verifies all of it.
func readBackup(ctx context.Context, r io.Reader, w io.Writer) (Manifest, error) {
	sum := sha256.New()
	head, err := readLine(io.TeeReader(r, sum))
	if err != nil {
		return Manifest{}, fmt.Errorf("not a backup of a store: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(head, &m); err != nil || m.Format != backupFormat || m.Bytes <= 0 {
		return Manifest{}, errors.New("not a backup of a store: its first line does not say so")
	}
	if known := current().version; m.Version != backupVersion || m.Schema > known {
		return m, fmt.Errorf("the backup has format %d and schema %d, this version of lyceum reads format %d and schemas up to %d", m.Version, m.Schema, backupVersion, known)
	}
	n, err := io.CopyN(&guardedWriter{ctx, io.MultiWriter(w, sum)}, r, m.Bytes)
	if errors.Is(err, io.EOF) {
		return m, fmt.Errorf("the backup is cut off after %d of %d bytes of the file", n, m.Bytes)
	}
	if err != nil {
		return m, err
	}
	m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	trailer, err := readLine(r)
	if err != nil {
		return m, fmt.Errorf("the backup is cut off before its digest: %w", err)
	}
	if string(trailer) != trailerPrefix+m.SHA256 {
		return m, errors.New("the backup is damaged: its SHA-256 is not what its last line says")
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return m, errors.New("the backup goes on after its end")
	}
	return m, nil
}

// readLine reads up to a line feed and no further.
func readLine(r io.Reader) ([]byte, error) {
	var line bytes.Buffer
	var one [1]byte
	for line.Len() < maxHeader {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line.Bytes(), nil
		}
		line.WriteByte(one[0])
	}
	return nil, fmt.Errorf("no end of a line in %d bytes", maxHeader)
}
