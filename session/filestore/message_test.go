package filestore

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt/errors"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Why a store does not open is said with the place and what to do about it.
func TestOpenErrorsSayWhatToDo(t *testing.T) {
	const dir = "/srv/lyceum-data"
	for name, tt := range map[string]struct {
		err  error
		kind fault.Kind
		want string
	}{
		"in use":     {bolt.ErrTimeout, fault.Unavailable, "stop that one, or choose another directory"},
		"permission": {&fs.PathError{Op: "open", Path: dir, Err: syscall.EACCES}, fault.Unavailable, "needs permission to read and write"},
		"read-only":  {&fs.PathError{Op: "open", Path: dir, Err: syscall.EROFS}, fault.Unavailable, "mount it for writing"},
		"full":       {os.NewSyscallError("ftruncate", syscall.ENOSPC), fault.Unavailable, "make room there"},
		"damaged":    {bolt.ErrChecksum, fault.Internal, "restore a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			err := openError(dir, tt.err)
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v of kind %v, want %v with %q and %q", err, fault.KindOf(err), tt.kind, dir, tt.want)
			}
		})
	}
}
