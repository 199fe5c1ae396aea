package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Every thread of a server has the slice that was asked for, those included that
// were started since. Kernels that know no such wish report none.
func TestThreadsHaveTheSlice(t *testing.T) {
	slices := func(p *proc) (found []uint64) {
		t.Helper()
		tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "task"))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				t.Fatal(err)
			}
			if attr, err := unix.SchedGetAttr(id, 0); err == nil { // else it has ended
				found = append(found, attr.Runtime)
			}
		}
		return found
	}
	usual := slices(serve(t, "--work-thread-slice", "0s"))[0]
	p := serve(t, "--work-thread-slice", "700us")
	p.call(p.token("--sub", "alice"), "statistical_reasoning", `{"mode":"bayes","prior":{"a":0.5,"b":0.5},"likelihood":{"a":0.2,"b":0.1}}`)
	for _, got := range slices(p) {
		if usual != 0 && got != 700_000 {
			t.Errorf("a thread has slices of %d ns, want 700 µs (usual here: %d ns)", got, usual)
		}
	}
}
