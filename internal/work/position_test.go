package work

import (
	"fmt"
	"testing"
)

func TestOutlook(t *testing.T) {
	q := newQueue(testPolicy())
	jobs := make(map[string]*job)
	for i := range 20 {
		for _, path := range []string{"flood/u/one", "flood/v/" + fmt.Sprint(i)} {
			j := newJob(path, Interactive)
			q.push(j, 0)
			jobs[fmt.Sprintf("%s#%d", path, i)] = j
		}
	}
	for name, path := range map[string]string{"quiet": "quiet", "batch": "quiet"} {
		j := newJob(path, Interactive)
		if name == "batch" {
			j.lane = Batch
		}
		q.push(j, 0)
		jobs[name] = j
	}
	for name, want := range map[string]outlook{
		"quiet":          {ahead: 1, own: 0, queued: 42, rivals: 2},
		"batch":          {ahead: 16, own: 0, queued: 42, rivals: 1},
		"flood/u/one#0":  {ahead: 0, own: 0, queued: 42, rivals: 2},
		"flood/u/one#5":  {ahead: 11, own: 5, queued: 42, rivals: 2},  // 5 own, 5 of v, 1 quiet
		"flood/u/one#19": {ahead: 40, own: 19, queued: 42, rivals: 2}, // one more of the batch lane
		"flood/v/3#3":    {ahead: 8, own: 3, queued: 42, rivals: 2},   // 3 own, 4 of u, 1 quiet
		"flood/v/19#19":  {ahead: 41, own: 19, queued: 42, rivals: 2},
	} {
		if got := q.outlook(jobs[name]); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	// If nobody else comes and all turns are alike, the guesses come true.
	guess := make(map[*job]int)
	for _, j := range jobs {
		guess[j] = q.outlook(j).ahead
	}
	var now int64
	for turn := range len(jobs) {
		j := q.pop(now)
		if d := guess[j] - turn; d < -1 || d > 1 {
			t.Errorf("turn %d goes to %s/%s/%s, which was %d", turn, j.tenant, j.subject, j.session, guess[j])
		}
		now += int64(DefaultQuantum)
		q.done(j, int64(DefaultQuantum), now)
	}
}
