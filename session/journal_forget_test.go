package session

import (
	"errors"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestJournalForget(t *testing.T) {
	j := NewJournal(0, 0)
	alice, bob := Owner{"acme", "i", "alice"}, Owner{"acme", "i", "bob"}
	begin := func(o Owner, key string) (stored []byte, finish func([]byte)) {
		t.Helper()
		stored, finish, err := j.Begin(t.Context(), o, key, [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		return stored, finish
	}
	for _, o := range []Owner{alice, bob} {
		for _, key := range []string{"a", "b"} {
			_, finish := begin(o, key)
			finish([]byte("done"))
		}
	}
	_, running := begin(alice, "c")
	if n, err := j.Forget(t.Context(), alice); n != 2 || err != nil {
		t.Errorf("Forget = %d, %v, want 2", n, err)
	}
	if n, err := j.Forget(t.Context(), Owner{"acme", "i", "carol"}); n != 0 || err != nil {
		t.Errorf("Forget of nobody = %d, %v", n, err)
	}
	running([]byte("later"))
	if stored, finish := begin(alice, "a"); stored != nil {
		t.Errorf("a forgotten result is given again: %s", stored)
	} else {
		finish(nil)
	}
	for o, key := range map[Owner]string{alice: "c", bob: "a"} {
		if stored, _ := begin(o, key); stored == nil {
			t.Errorf("the result of %s of %s is gone", key, o.Subject)
		}
	}
	if _, _, err := j.Begin(t.Context(), bob, "a", [32]byte{2}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another call under a kept key: %v", errors.Unwrap(err))
	}
}
