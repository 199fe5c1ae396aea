package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"
)

func TestRepeatsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLogger(&out, "json", new(slog.LevelVar))
		for i := range 1000 {
			log.With("n", i).Warn("the session store fails")
			log.Info(RequestMessage, "n", i)
		}
		log.Warn("something else")
		count := func(text string) int { return strings.Count(out.String(), `"msg":"`+text) }
		if got := count("the session store fails"); got != repeatsMost {
			t.Errorf("%d of 1000 equal records were written, want %d", got, repeatsMost)
		}
		if count(RequestMessage) != 1000 || count("something else") != 1 {
			t.Errorf("%d requests and %d others were written, want 1000 and 1", count(RequestMessage), count("something else"))
		}
		time.Sleep(repeatsIn)
		log.Warn("the session store fails")
		if want := fmt.Sprintf(`"left_out":%d`, 1000-repeatsMost); !strings.Contains(out.String(), want) {
			t.Errorf("nothing says %s", want)
		}
	})
}

// TestRepeatsForget: a client's words in messages do not fill the memory.
func TestRepeatsForget(t *testing.T) {
	r := newRepeats(slog.DiscardHandler, "")
	for i := range 5 * maxMessages {
		if err := r.Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, fmt.Sprint(i, " is what a client said"), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.seen.all); n == 0 || n > maxMessages {
		t.Errorf("%d messages are remembered, want at most %d", n, maxMessages)
	}
}

func TestRepeatsIsAHandler(t *testing.T) {
	var out bytes.Buffer
	err := slogtest.TestHandler(newRepeats(slog.NewJSONHandler(&out, nil), ""), func() []map[string]any {
		var all []map[string]any
		for line := range bytes.Lines(out.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
