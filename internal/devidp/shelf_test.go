package devidp

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestShelfAgainstAModel compares a shelf with a plain list after each step.
func TestShelfAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		s := newShelf[int](limit)
		type entry struct {
			key   string
			value int
			until time.Time
		}
		var model []entry
		drop := func(key string) {
			for at, e := range model {
				if e.key == key {
					model = append(model[:at:at], model[at+1:]...)
					return
				}
			}
		}
		now := time.Unix(0, 0)
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, 6).Draw(t, "n")) })
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				until := now.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "ttl")) * time.Second)
				s.put(k, v, until, now)
				drop(k)
				for len(model) > 0 && (len(model) >= limit || !now.Before(model[0].until)) {
					model = model[1:]
				}
				model = append(model, entry{k, v, until})
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				got, ok := s.get(k, now)
				want, found := 0, false
				for _, e := range model {
					if e.key == k && now.Before(e.until) {
						want, found = e.value, true
					}
				}
				if got != want || ok != found {
					t.Fatalf("get %s = %d, %v; want %d, %v", k, got, ok, want, found)
				}
				if !found {
					drop(k) // what has run out leaves when it is asked for
				}
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				s.remove(k)
				drop(k)
			},
			"wait": func(t *rapid.T) { now = now.Add(time.Second) },
			"": func(t *rapid.T) {
				if s.len() != len(model) || s.len() > limit || len(s.items) != s.order.Len() {
					t.Fatalf("%d items, want %d, limit %d", s.len(), len(model), limit)
				}
			},
		})
	})
}
