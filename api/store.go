package api

import (
	"context"
	"fmt"
	"io"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/session"
)

// Keeper is what the REST interface does with all that outlives a call.
type Keeper interface {
	// Backup writes a copy of the whole store; NotFound if there is none.
	Backup(ctx context.Context, w io.Writer) error
	// Purge ends and deletes all that belongs to a subject of a tenant; o without
	// an issuer means whoever vouches for the subject.
	Purge(ctx context.Context, o session.Owner) (PurgeCount, error)
	// BringBack reads a backup in the data directory and brings back what it has
	// and the server lacks; NotFound if there is no store or no such file.
	BringBack(ctx context.Context, file string) (ReturnCount, error)
}

// ReturnCount is what of a backup was brought back, and what was not: sessions
// that were left as they are here, and jobs.
type ReturnCount struct{ Sessions, Results, Left, Jobs int }

// PurgeCount is what a purge has deleted.
type PurgeCount struct{ Sessions, Jobs, Results int }

// GetBackup implements StrictServerInterface. The first bytes are made before
// the answer begins, so that a store that cannot be read is an error and not a
// short file.
func (s rest) GetBackup(ctx context.Context, _ GetBackupRequestObject) (GetBackupResponseObject, error) {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() { // ends when the copy is made or the reader has closed; waited for by backup.Close
		defer close(done)
		pw.CloseWithError(s.Monitor.Backup(ctx, pw))
	}()
	b := &backup{pipe: pr, done: done}
	n, err := io.ReadFull(pr, b.head[:])
	b.left = b.head[:n]
	if err != nil {
		_ = b.Close()
		if n == 0 {
			return nil, err
		}
		return nil, fmt.Errorf("back up the store: %w", err)
	}
	p := identity.FromContext(ctx)
	s.Log.InfoContext(ctx, "operator backs up the store", "operator", p.Subject, "operator_issuer", p.Issuer)
	return GetBackup200ApplicationOctetStreamResponse{Body: b}, nil
}

// backup is a copy of the store on its way. It belongs to the goroutine that
// reads it.
type backup struct {
	pipe *io.PipeReader
	done chan struct{}
	head [16]byte
	left []byte // of head
}

func (b *backup) Read(p []byte) (int, error) {
	if len(b.left) > 0 {
		n := copy(p, b.left)
		b.left = b.left[n:]
		return n, nil
	}
	return b.pipe.Read(p)
}

func (b *backup) Close() error {
	err := b.pipe.Close()
	<-b.done
	return err
}

// PurgeSubject implements StrictServerInterface.
func (s rest) PurgeSubject(ctx context.Context, request PurgeSubjectRequestObject) (PurgeSubjectResponseObject, error) {
	o := session.Owner{Tenant: request.Body.Tenant, Subject: request.Body.Subject}
	if request.Body.Issuer != nil {
		o.Issuer = *request.Body.Issuer
	}
	for name, v := range map[string]string{"tenant": o.Tenant, "subject": o.Subject} {
		if v == "" || len(v) > maxFilter {
			return nil, bad(name)
		}
	}
	if len(o.Issuer) > maxFilter {
		return nil, fault.Newf(fault.Invalid, "issuer has %d bytes: want at most %d", len(o.Issuer), maxFilter)
	}
	n, err := s.Monitor.Purge(ctx, o)
	p := identity.FromContext(ctx)
	s.Log.InfoContext(ctx, "operator purged a subject", "owner_tenant", o.Tenant, "owner_issuer", o.Issuer, "owner_subject", o.Subject,
		"sessions", n.Sessions, "jobs", n.Jobs, "results", n.Results, "failed", err != nil, "operator", p.Subject, "operator_issuer", p.Issuer)
	if err != nil {
		return nil, err
	}
	return PurgeSubject200JSONResponse{Sessions: n.Sessions, Jobs: n.Jobs, Results: n.Results}, nil
}

// RestoreBackup implements StrictServerInterface.
func (s rest) RestoreBackup(ctx context.Context, request RestoreBackupRequestObject) (RestoreBackupResponseObject, error) {
	n, err := s.Monitor.BringBack(ctx, request.Body.File)
	p := identity.FromContext(ctx)
	s.Log.InfoContext(ctx, "operator brings back a backup", "file", request.Body.File, "sessions", n.Sessions, "results", n.Results, "left", n.Left,
		"jobs_left", n.Jobs, "failed", err != nil, "operator", p.Subject, "operator_issuer", p.Issuer)
	if err != nil {
		return nil, err
	}
	return RestoreBackup200JSONResponse{Sessions: n.Sessions, Results: n.Results, Left: n.Left, Jobs: n.Jobs}, nil
}
