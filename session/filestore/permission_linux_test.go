package filestore

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// TestNoPermission opens stores as a user who may not. Root may everything, so
// the thread of the test acts as nobody on files.
func TestNoPermission(t *testing.T) {
	base := t.TempDir()
	for dir := base; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	locked, unwritable := filepath.Join(base, "locked"), filepath.Join(base, "unwritable")
	s := openIn(t, Config{Dir: unwritable})
	fill(t, s, 2)
	closeStore(t, s)
	for path, mode := range map[string]os.FileMode{locked: 0o000, unwritable: 0o555, s.path: 0o444} {
		if path == locked {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	for _, dir := range []string{locked, unwritable, filepath.Join(base, "unwritable", "new")} {
		_, err := Open(t.Context(), Config{Dir: dir})
		if fault.KindOf(err) != fault.Unavailable || err == nil || !strings.Contains(err.Error(), "needs permission") {
			t.Errorf("open in %s: %v", filepath.Base(dir), err)
		}
	}
}
