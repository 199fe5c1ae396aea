//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var errLocked = errors.New("another process writes this audit log")

const lockFile = "audit.lock"

// lockDir cannot keep other processes out here: the system has no advisory lock
// in the standard library. The store's own lock keeps a second server away.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the audit log: %w", err)
	}
	return f, nil
}

func inUse(string) bool { return false }
