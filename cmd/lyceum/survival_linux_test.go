package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is a user who owns no file.
const nobody = 65534

// A server whose disk is full says so, changes nothing, and answers what needs
// no room; when there is room again it goes on by itself. What it acknowledged
// before, meanwhile and after survives a power failure. The disk is full for
// this process only: no file of its may grow.
func TestSurvivesAFullDisk(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice := p.token("--sub", "alice")
	acked := map[string]string{}
	thought := func(i int) string { return fmt.Sprintf("%04d %s", i, strings.Repeat("so it goes ", 2000)) }
	for i := range 5 {
		acked[p.mustThink(alice, thought(i))] = thought(i)
	}
	info, err := os.Stat(filepath.Join(data, "lyceum.db"))
	if err != nil {
		t.Fatal(err)
	}
	var room unix.Rlimit
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &room); err != nil {
		t.Fatal(err)
	}
	full := unix.Rlimit{Cur: uint64(info.Size()), Max: room.Max}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &full, nil); err != nil {
		t.Fatal(err)
	}
	var said string
	for i := 100; i < 200; i++ {
		id, out, err := p.think(alice, "", thought(i))
		if err != nil {
			said = out
			break
		}
		acked[id] = thought(i)
	}
	wantIn(t, "the call on a full disk", said, "nothing was changed", "no space left", "retry")
	p.wantLog(filepath.Join(data, "lyceum.db"), "make room on its disk")
	p.wantThoughts(alice, acked)

	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &room, nil); err != nil {
		t.Fatal(err)
	}
	for i := 200; i < 205; i++ {
		acked[p.mustThink(alice, thought(i))] = thought(i)
	}
	p.wantLog("the session store works again")
	addr := strings.TrimPrefix(p.url, "http://")
	p.kill()
	if out, err := lyceum("store", "check", "--data", data); err != nil {
		t.Errorf("check: %v %s", err, out)
	}
	p = serveIn(t, data, "--addr", addr)
	p.wantThoughts(alice, acked)
}

// A server that may not write its directory does not start, says which and what
// it needs, and spoils nothing; when it may, it serves.
func TestSurvivesAReadOnlyDirectory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, data)
	alice := p.token("--sub", "alice")
	acked := map[string]string{p.mustThink(alice, "still here"): "still here"}
	addr := strings.TrimPrefix(p.url, "http://")
	if code := p.stop(); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.stderr)
	}
	// Root may everything, so there the server runs as somebody who may read.
	attr := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		for _, dir := range []string{filepath.Dir(binary), filepath.Dir(data), filepath.Dir(filepath.Dir(data))} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := os.Geteuid()
	if owner == 0 { // the keys of the identity provider are for their owner's eyes only
		owner = nobody
	}
	for _, e := range entries {
		if err := errors.Join(os.Chmod(filepath.Join(data, e.Name()), 0o400), os.Chown(filepath.Join(data, e.Name()), owner, -1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(data, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", "--dev", "--addr", "127.0.0.1:0", "--data", data)
	cmd.SysProcAttr, cmd.Dir = attr, data
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("a server started: %s", out)
	}
	wantIn(t, "the start", string(out), data, "needs permission to read and write")
	if err := os.Chmod(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chmod(filepath.Join(data, e.Name()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := lyceum("store", "check", "--data", data); err != nil {
		t.Errorf("check: %v %s", err, out)
	}
	p = serveIn(t, data, "--addr", addr)
	p.wantThoughts(alice, acked)
}
