package thought

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
)

// digest writes fields in a canonical form: each is preceded by its length, so
// that no two different records look alike.
type digest struct{ hash.Hash }

func (d digest) text(s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	d.Write(n[:]) // a hash never fails
	d.Write([]byte(s))
}

func (d digest) int(n int64) { d.text(strconv.FormatInt(n, 10)) }

func (d digest) sum() string { return hex.EncodeToString(d.Sum(nil)) }

// hash returns the SHA-256 of a thought: over its own fields, where its branch
// begins, and the hashes of the thoughts it refers to. What was found in its text
// is not part of it, for a later scanner may find more.
func (c *Chain) hash(t *Thought) string {
	d := digest{sha256.New()}
	d.text("lyceum.thought/1")
	for _, id := range []int{t.Parent, t.Merged, t.Slot, t.Revises} {
		d.text(c.hashOf(id))
	}
	d.int(int64(len(t.Reaffirms)))
	for _, id := range t.Reaffirms {
		d.text(c.hashOf(id))
	}
	d.int(int64(t.ID))
	d.int(int64(t.Number))
	d.text(t.Branch)
	if b := c.Branch(t.Branch); b != nil {
		d.text(b.Parent)
		d.text(c.hashOf(b.Fork))
		d.int(int64(b.From))
	}
	d.text(t.Text)
	d.int(int64(t.Total))
	d.text(strconv.FormatBool(t.More))
	if t.Confidence != nil {
		d.text(strconv.FormatFloat(*t.Confidence, 'g', -1, 64))
	}
	d.int(t.Created)
	return d.sum()
}

// hashOf returns the hash of an earlier thought, "" for none.
func (c *Chain) hashOf(id int) string {
	if t := c.Get(id); t != nil {
		return t.Hash
	}
	return ""
}

// link extends the running digest of the log by one record.
func link(head, next string) string {
	d := digest{sha256.New()}
	d.text(head)
	d.text(next)
	return d.sum()
}

// Verify recomputes every hash and checks that each record refers only to earlier
// ones. It returns nil, or an error that names the first thought that was changed,
// moved or removed. Sealed texts must have been restored. The state of a branch
// (open, closed, merged) is not covered.
func (c *Chain) Verify() error {
	if len(c.Thoughts) > MaxThoughts || len(c.Branches) > MaxBranches {
		return fmt.Errorf("%d thoughts on %d branches: more than a chain may hold", len(c.Thoughts), len(c.Branches))
	}
	head := ""
	for i := range c.Thoughts {
		t := &c.Thoughts[i]
		if err := c.wellFormed(t, i+1); err != nil {
			return err
		}
		if t.Hash != c.hash(t) || t.Size != len(t.Text) {
			return fmt.Errorf("thought %d of branch %s (record %d): its content does not match its hash", t.Number, t.Branch, t.ID)
		}
		head = link(head, t.Hash)
	}
	if head != c.Head {
		return fmt.Errorf("the digest of the log does not match its %d records: some were removed or added", len(c.Thoughts))
	}
	return nil
}

// wellFormed checks the references of the thought at place id of the log.
func (c *Chain) wellFormed(t *Thought, id int) error {
	if t.ID != id || t.Number < 1 {
		return fmt.Errorf("record %d: it says that it is record %d with the number %d", id, t.ID, t.Number)
	}
	for _, ref := range append([]int{t.Parent, t.Merged, t.Slot, t.Revises}, t.Reaffirms...) {
		if ref < 0 || ref >= id {
			return fmt.Errorf("record %d: it refers to record %d, which is not before it", id, ref)
		}
	}
	b := c.Branch(t.Branch)
	if b == nil {
		return fmt.Errorf("record %d: there is no branch %q", id, t.Branch)
	}
	if b.Fork < 0 || b.Fork >= id || b.Parent != "" && c.Branch(b.Parent) == nil {
		return fmt.Errorf("branch %s: it does not begin at an earlier thought of another branch", b.Name)
	}
	return nil
}
