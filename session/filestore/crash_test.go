package filestore

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var rounds = flag.Int("rounds", 10, "how often the crash test kills its writers")

// TestCrash kills a process with 64 writers again and again, and checks that
// what it acknowledged is there, whole, in the version it said or a later one.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(2026, 1))
	for _, mode := range []string{"plain", "encrypted"} {
		dir := t.TempDir()
		acked := map[int]uint64{}
		total := 0
		n := (*rounds + 1) / 2
		for round := range n {
			total += crashOnce(t, dir, mode, acked, time.Duration(50+rng.IntN(400))*time.Millisecond)
			checkCrashed(t, dir, mode, acked)
			if t.Failed() {
				t.Fatalf("%s, round %d", mode, round)
			}
		}
		t.Logf("%s: %d kills, %d acknowledged commits, none lost", mode, n, total)
		if total == 0 {
			t.Errorf("%s: nothing was written before the kills", mode)
		}
	}
}

// crashOnce runs the writers until they are killed, after the first commits
// and then after wait, and notes the last version of each.
func crashOnce(t *testing.T, dir, mode string, acked map[int]uint64, wait time.Duration) (commits int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir, mode)
	cmd.Env = append(os.Environ(), helperVariable+"=crash")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var w int
		var v uint64
		if _, err := fmt.Sscanf(lines.Text(), "ack %d %d", &w, &v); err != nil {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Errorf("writer: %s", lines.Text())
			}
			continue // the last line may be cut off
		}
		acked[w] = max(acked[w], v)
		if commits++; commits == 1 {
			kill = time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	if kill == nil {
		t.Fatalf("no commit before the process ended: %v\n%s", err, stderr.String())
	}
	kill.Stop()
	return commits
}

func checkCrashed(t *testing.T, dir, mode string, acked map[int]uint64) {
	t.Helper()
	s := openIn(t, Config{Dir: dir, Keys: configs[mode].Keys})
	defer closeStore(t, s)
	checkClean(t, s)
	for w, v := range acked {
		snap, err := s.Load(t.Context(), key(fmt.Sprintf("rs_%d", w)))
		switch {
		case err != nil:
			t.Errorf("writer %d: %v", w, err)
		case snap.Version < v:
			t.Errorf("writer %d: version %d, but %d was acknowledged", w, snap.Version, v)
		case len(snap.Cells) != 1 || snap.Cells[0].Version != snap.Version || !bytes.Equal(snap.Cells[0].Data, crashData(w, snap.Version)):
			t.Errorf("writer %d: the slot is not that of version %d", w, snap.Version)
		}
	}
}
