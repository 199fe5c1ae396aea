package alert

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestRetries: attempts come less and less often, never in step, and not before
// the receiver wants one; after a day they end.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, new(disk), func() float64 { return 9 }, nil)
		w.to.set(nil, 500)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		gaps := func() (all []time.Duration) {
			w.to.mu.Lock()
			defer w.to.mu.Unlock()
			for i := 1; i < len(w.to.tries); i++ {
				all = append(all, w.to.tries[i].Sub(w.to.tries[i-1]))
			}
			return all
		}
		for i, g := range gaps() {
			if most := min(maxDelay, minDelay<<min(i, 20)); g < most/2 || g > most {
				t.Errorf("gap %d is %v, want from %v to %v", i, g, most/2, most)
			}
		}
		w.to.mu.Lock()
		w.to.status, w.to.asked = 429, "300"
		w.to.mu.Unlock()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if all := gaps(); all[len(all)-1] != 300*time.Second {
			t.Errorf("the receiver asked for 300 s and got %v", all[len(all)-1])
		}
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if d := w.Snapshot().Delivery; d.Waiting != 0 || d.Dropped != 1 {
			t.Errorf("after a day: %+v", d)
		}
		w.stop()
	})
}

// TestUnwanted: a body that the receiver refuses for good is not sent again, and
// holds up nothing.
func TestUnwanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newWatch(t, new(disk), func() float64 {
			if time.Since(began) < time.Minute {
				return 9
			}
			return 0
		}, nil)
		w.to.set(nil, 422)
		time.Sleep(50 * time.Second)
		w.to.set(nil, 200)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n, got := len(w.to.tries), w.to.statuses(); n != 2 || !slices.Equal(got, []string{"resolved"}) {
			t.Errorf("%d attempts, told %v", n, got)
		}
		if d := w.Snapshot().Delivery; d.Dropped != 1 || d.Failed != 1 || d.Delivered != 1 || d.Problem != "" {
			t.Errorf("%+v", d)
		}
		w.stop()
	})
}
