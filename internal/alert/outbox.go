package alert

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Bounds of the outbox.
const (
	maxQueued = 128            // notifications that wait
	maxAge    = 24 * time.Hour // after which one is given up
	minDelay  = time.Second    // before the second attempt
	maxDelay  = 5 * time.Minute
)

// Notification is something that has to be told.
type Notification struct {
	ID       string          `json:"id"`
	Rule     string          `json:"rule"`
	Status   State           `json:"status"` // Firing or Resolved
	Created  time.Time       `json:"created"`
	Attempts int             `json:"attempts"`
	Body     json.RawMessage `json:"body"`
}

// resumed is an alert that fires, as far as its receiver was or will be told.
type resumed struct {
	Rule    string    `json:"rule"`
	Started time.Time `json:"started"`
}

// outbox is what has still to be told, oldest first, and what fires. It has no
// clock and does no I/O; the Manager's goroutine owns it.
type outbox struct {
	Version int            `json:"version"`
	Firing  []resumed      `json:"firing"`
	Queue   []Notification `json:"queue"`

	next    time.Time // of the next attempt
	dropped uint64    // notifications that were given up
}

const outboxVersion = 1

// decodeOutbox reads what encode wrote; nothing is an empty one.
func decodeOutbox(data []byte) (*outbox, error) {
	o := &outbox{Version: outboxVersion}
	if len(data) == 0 {
		return o, nil
	}
	var stored outbox
	if err := json.Unmarshal(data, &stored); err != nil {
		return o, fmt.Errorf("read the outbox: %w", err)
	}
	if stored.Version != outboxVersion {
		return o, fmt.Errorf("read the outbox: it has version %d, want %d", stored.Version, outboxVersion)
	}
	if n := len(stored.Queue); n > maxQueued {
		stored.Queue = stored.Queue[n-maxQueued:]
	}
	stored.Firing = stored.Firing[:min(len(stored.Firing), maxRules)]
	return &stored, nil
}

func (o *outbox) encode() ([]byte, error) { return json.Marshal(o) }

// note remembers that an alert fires, or no longer does.
func (o *outbox) note(a Alert) {
	o.Firing = slices.DeleteFunc(o.Firing, func(r resumed) bool { return r.Rule == a.Rule.Name })
	if a.State == Firing {
		o.Firing = append(o.Firing, resumed{a.Rule.Name, a.Started})
	}
}

// add puts n at the end. What waits already is not added again; when the outbox is
// full, the oldest is given up and returned.
func (o *outbox) add(n Notification) (gone []Notification) {
	if slices.ContainsFunc(o.Queue, func(q Notification) bool { return q.ID == n.ID }) {
		return nil
	}
	if over := len(o.Queue) + 1 - maxQueued; over > 0 {
		gone = slices.Clone(o.Queue[:over])
		o.Queue = slices.Delete(o.Queue, 0, over)
		o.dropped += uint64(over)
	}
	o.Queue = append(o.Queue, n)
	return gone
}

// age gives up what is too old, and returns it.
func (o *outbox) age(now time.Time) (gone []Notification) {
	o.Queue = slices.DeleteFunc(o.Queue, func(n Notification) bool {
		old := now.Sub(n.Created) > maxAge
		if old {
			gone = append(gone, n)
		}
		return old
	})
	o.dropped += uint64(len(gone))
	return gone
}

// due returns the notification to send at now, if there is one.
func (o *outbox) due(now time.Time) (Notification, bool) {
	if len(o.Queue) == 0 || now.Before(o.next) {
		return Notification{}, false
	}
	return o.Queue[0], true
}

// lag is how long the oldest has waited.
func (o *outbox) lag(now time.Time) time.Duration {
	if len(o.Queue) == 0 {
		return 0
	}
	return max(0, now.Sub(o.Queue[0].Created))
}

// remove takes out the notification with that id, which was told or never will be.
func (o *outbox) remove(id string) {
	o.Queue = slices.DeleteFunc(o.Queue, func(n Notification) bool { return n.ID == id })
	o.next = time.Time{}
}

// postpone counts a failed attempt and puts off the next: twice as long each time,
// spread over half of that, and not sooner than the receiver asked for.
func (o *outbox) postpone(id string, now time.Time, asked time.Duration) {
	attempts := 1
	for i := range o.Queue {
		if o.Queue[i].ID == id {
			o.Queue[i].Attempts++
			attempts = o.Queue[i].Attempts
		}
	}
	delay := maxDelay
	if attempts < 10 {
		delay = min(maxDelay, minDelay<<(attempts-1))
	}
	delay = time.Duration(float64(delay) * (0.5 + rand.Float64()/2))
	o.next = now.Add(max(delay, min(asked, maxDelay)))
}
