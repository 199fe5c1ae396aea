package session

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A flood that is over leaves next to nothing in memory, though one session of
// its tenant stays, and who is evicted next stays the same.
func TestAFloodGivesItsMemoryBack(t *testing.T) {
	const n, owners = 20_000, 400
	d := New(Config{MaxPerTenant: n + 2, MaxTotal: n + 2, Shards: 4}, nil)
	stay := Owner{"acme", "i", "stay"}
	keep := mustIdle(t, d, stay, Params{})
	mustOpen(t, d, stay, Params{}).Release()
	before := int64(heapInUse())
	ids := make([]ID, n)
	owner := func(i int) Owner { return Owner{"acme", "i", fmt.Sprint("flood ", i%owners)} }
	for i := range ids {
		ids[i] = mustIdle(t, d, owner(i), Params{})
	}
	with := int64(heapInUse()) - before
	for i, id := range ids {
		if err := d.Delete(t.Context(), owner(i), id); err != nil {
			t.Fatal(err)
		}
	}
	checkInvariants(t, d)
	runtime.KeepAlive(ids)
	left := int64(heapInUse()) - before - n*64 // the ids themselves
	if with < n*200 || left > n*8 {
		t.Errorf("%d B of heap with %d sessions, %d B are left after their end, want at most %d", with, n, left, n*8)
	}
	s := d.shardOf(stay)
	s.mu.Lock()
	oldest := s.tenants["acme"].leastRecentIdleLocked()
	s.mu.Unlock()
	if oldest == nil || oldest.id != keep {
		t.Errorf("the next to be evicted is %v, want %s", oldest, keep)
	}
}

func TestSlimContainersKeepWhatTheyHold(t *testing.T) {
	const n = 1000
	m, cache := map[int]int{}, mustLRU(t, n)
	var mapSlack, cacheSlack slack
	var slice []int
	for i := range n {
		m[i] = i
		cache.Add(i, i)
		slice = append(slice, i)
	}
	remade := 0
	for i := range n - 3 {
		delete(m, i)
		was := cache
		cache.Remove(i)
		m, cache = slimMap(m, &mapSlack), slimLRU(cache, &cacheSlack, n)
		if cache != was {
			remade++
		}
		slice = slimSlice(slices.Delete(slice, 0, 1))
		if len(m) != n-i-1 || cache.Len() != n-i-1 || len(slice) != n-i-1 || m[n-1] != n-1 || slice[0] != i+1 {
			t.Fatalf("after %d removals: map %d, cache %d, slice %d", i+1, len(m), cache.Len(), len(slice))
		}
	}
	if got := cache.Keys(); !slices.Equal(got, []int{n - 3, n - 2, n - 1}) {
		t.Errorf("the cache holds %v, want the last three, oldest first", got)
	}
	if remade < 2 || remade > 5 || cap(slice) >= 2*minRoom {
		t.Errorf("remade %d times, the slice has room for %d", remade, cap(slice))
	}
}

func mustLRU(t *testing.T, size int) *simplelru.LRU[int, int] {
	t.Helper()
	c, err := simplelru.NewLRU[int, int](size, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
