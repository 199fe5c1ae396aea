package job

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// Unknown, foreign, deleted and expired are one answer, on every method, and
// the owner of the job sees no difference afterwards.
func TestOnlyTheOwnerFindsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{MaxTTL: time.Hour, Retention: time.Minute}, NewMemoryStore(), nil, discard())
		defer r.Close()
		o := newOp()
		live := begin(t, r, o, o.spec(alice))
		over := start(t, r, instant(alice, "1", nil)).Detach().ID
		gone := start(t, r, instant(alice, "1", nil)).Detach().ID
		expired := start(t, r, Spec{Owner: alice, Operation: "short", TTL: time.Second, Run: func(ctx context.Context, _ *Run) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}).Detach().ID
		synctest.Wait()
		if err := r.Delete(t.Context(), alice, gone); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // nothing sweeps
		before, overBefore := get(t, r, alice, live), get(t, r, alice, over)

		var texts []string
		miss := func(owner session.Owner, id ID) {
			t.Helper()
			_, err := r.Get(t.Context(), owner, id)
			_, waitErr := r.Wait(t.Context(), owner, id, time.Hour)
			_, asked, cancelErr := r.Cancel(t.Context(), owner, id)
			deleteErr := r.Delete(t.Context(), owner, id)
			if asked {
				t.Errorf("%v asked %s to stop", owner, id)
			}
			for _, err := range []error{err, waitErr, cancelErr, deleteErr} {
				wantMiss(t, err)
				texts = append(texts, fmt.Sprintf("%#v", err))
			}
		}
		began := time.Now()
		for _, other := range []session.Owner{
			bob, carol,
			{},
			{Subject: "alice"},
			{Tenant: "globex", Issuer: alice.Issuer, Subject: "alice"},
			{Tenant: "acme", Issuer: "https://other.example", Subject: "alice"},
			{Tenant: "acme", Issuer: alice.Issuer, Subject: "Alice"},
		} {
			for _, id := range []ID{live, over, gone, expired} {
				miss(other, id)
			}
			if all := r.List(other); len(all) != 0 {
				t.Errorf("%v lists %v", other, all)
			}
		}
		for _, id := range []ID{gone, expired, "", "jb_", "jb_aaaaaaaaaaaaaaaaaaaaaaaaaa", live + "x", ID(strings.ToUpper(string(live)))} {
			miss(alice, id)
		}
		if time.Since(began) != 0 {
			t.Errorf("a miss was waited for")
		}
		if slices.Sort(texts); len(slices.Compact(texts)) != 1 {
			t.Errorf("misses differ: %v", texts)
		}
		if after := get(t, r, alice, live); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("others changed the job from %+v to %+v", before, after)
		}
		if after := get(t, r, alice, over); fmt.Sprint(after) != fmt.Sprint(overBefore) {
			t.Errorf("others changed the job from %+v to %+v", overBefore, after)
		}
		if all := r.List(alice); len(all) != 2 {
			t.Errorf("alice lists %d jobs, want 2", len(all))
		}
		checkInvariants(t, r)
		o.end("1", nil)
	})
}
