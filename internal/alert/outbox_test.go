package alert

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

func TestOutbox(t *testing.T) {
	o := &outbox{Version: outboxVersion}
	for i := range maxQueued + 3 {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		gone := o.add(Notification{ID: id, Rule: "X", Status: Firing, Created: epoch, Body: json.RawMessage(`{"a":"<>&"}`)})
		if full := i >= maxQueued; full != (len(gone) == 1) {
			t.Errorf("%d: gave up %d", i, len(gone))
		}
	}
	if again := o.Queue[5]; o.add(again) != nil || len(o.Queue) != maxQueued {
		t.Error("what waits was added again")
	}
	data, err := o.encode()
	if err != nil {
		t.Fatal(err)
	}
	same, err := decodeOutbox(data)
	if err != nil || len(same.Queue) != maxQueued || same.Queue[0].ID != o.Queue[0].ID {
		t.Errorf("%v", err)
	}
	twice, err := same.encode()
	if err != nil || !bytes.Equal(data, twice) {
		t.Errorf("it does not come back as it was: %v", err)
	}
	if lag := o.lag(epoch.Add(time.Minute)); lag != time.Minute {
		t.Errorf("lag %v", lag)
	}
	if gone := o.age(epoch.Add(maxAge + 1)); len(gone) != maxQueued || len(o.Queue) != 0 || o.dropped != maxQueued+3 {
		t.Errorf("aged %d, dropped %d", len(gone), o.dropped)
	}
}
