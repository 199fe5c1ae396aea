//go:build unix && !solaris && !aix && !android

package filestore

import (
	"os"
	"syscall"
)

// unlock gives up the lock of a file that bbolt left mapped when it panicked:
// closing it is not enough, for the mapping keeps it open.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
