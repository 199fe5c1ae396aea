package sequence_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// A revision tells of the branches behind it, as long as they see it.
func TestReviseBehindBranches(t *testing.T) {
	c := newClient(t)
	c.think("one", "two", "three")
	c.must(`{"thought":"another three","branchFromThought":2,"branchId":"alt","nextThoughtNeeded":true}`)
	c.must(`{"thought":"and on","branchId":"alt","nextThoughtNeeded":true}`)
	c.must(`{"thought":"deeper","branchFromThought":3,"branchId":"deep","nextThoughtNeeded":true}`)
	out, e := c.must(`{"thought":"one again","isRevision":true,"revisesThought":1,"branchId":"main"}`)
	if !slices.Equal(out.Stale, []int{2, 3}) || len(out.Elsewhere) != 2 {
		t.Fatalf("got %+v", out)
	}
	if b := out.Elsewhere[0]; b.BranchID != "alt" || b.Count != 2 || !slices.Equal(b.Thoughts, []int{3, 4}) {
		t.Errorf("alt: %+v", b)
	}
	if b := out.Elsewhere[1]; b.BranchID != "deep" || b.Count != 2 || !slices.Equal(b.Thoughts, []int{3, 4}) {
		t.Errorf("deep: %+v", b)
	}
	b, err := json.Marshal(e.Next[1].Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if read, _ := c.must(string(b)); len(read.Thoughts) != 2 || !slices.Equal(read.Thoughts[0].StaleOn, []int{1}) {
		t.Errorf("next %s: %+v", b, read.Thoughts)
	}
	// A branch that revised the position itself does not see the next revision there.
	c.must(`{"thought":"two of its own","isRevision":true,"revisesThought":2,"branchId":"alt"}`)
	out, _ = c.must(`{"thought":"two again","isRevision":true,"revisesThought":2,"branchId":"main"}`)
	if len(out.Elsewhere) != 0 {
		t.Errorf("got %+v", out.Elsewhere)
	}
}
