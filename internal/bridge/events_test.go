package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestEvents(t *testing.T) {
	long := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 3*eventBuffer) + `"}`
	tests := []struct {
		name, stream string
		want         []string
		last         string
		retry        time.Duration
	}{
		{"messages", "data: {\"a\":1}\n\ndata:{\"a\":2}\n\n", []string{`{"a":1}`, `{"a":2}`}, "", 0},
		{"carriage returns", "event: message\r\nid: 7\r\ndata: {}\r\n\r\n", []string{`{}`}, "7", 0},
		{"several lines of data", "data: {\ndata: }\n\n", []string{"{\n}"}, "", 0},
		{"no data is no message", "id: a\nretry: 1500\ndata: \n\n:comment\n\nid: b\n\n", nil, "b", 1500 * time.Millisecond},
		{"an id that cannot be sent back", "id: a\ndata: {}\n\nid: \x01\ndata: {}\n\n", []string{"{}", "{}"}, "a", 0},
		{"a retry that is no number", "retry: soon\nretry: 9999999\ndata: {}\n\n", []string{"{}"}, "", mostRetry},
		{"cut off in the data", "data: {\"a\":1}\n\nid: 2\ndata: {\"a\":", []string{`{"a":1}`}, "", 0},
		{"without the last empty line", `data: {"jsonrpc":"2.0","method":"n"}`, []string{`{"jsonrpc":"2.0","method":"n"}`}, "", 0},
		{"longer than the buffer", "id: 9\ndata: " + long + "\n\n", []string{long}, "9", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]func(string) (got []string, c *cursor, err error){
				"whole": func(s string) ([]string, *cursor, error) { return collect(strings.NewReader(s), 1<<20) },
				"bytes": func(s string) ([]string, *cursor, error) {
					return collect(iotest.OneByteReader(strings.NewReader(s)), 1<<20)
				},
			} {
				got, c, err := r(tt.stream)
				if err != nil || !slices.Equal(got, tt.want) || c.last != tt.last || c.retry != tt.retry {
					t.Errorf("%s: %.200q, last %q, retry %v, %v", name, got, c.last, c.retry, err)
				}
			}
		})
	}
	if _, _, err := collect(strings.NewReader("data: "+long+"\n\n"), 1000); err != errLongEvent {
		t.Errorf("a long event: %v", err)
	}
}

func collect(r interface{ Read([]byte) (int, error) }, most int) (got []string, c *cursor, err error) {
	c = &cursor{}
	_, err = c.events(r, most, func(data []byte) bool { got = append(got, string(data)); return false })
	return got, c, err
}

// Wherever a stream is cut, what was taken is the first events as they were sent, and
// the cursor is behind the last of them.
func TestEventsOfACutStream(t *testing.T) {
	var stream strings.Builder
	var sent []string
	for i := range 5 {
		sent = append(sent, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":%d}}`, i))
		fmt.Fprintf(&stream, "id: %d\nevent: message\ndata: %s\n\n", i, sent[i])
	}
	text := stream.String()
	for cut := range len(text) {
		got, c, err := collect(strings.NewReader(text[:cut]), 1<<20)
		if err != nil || !slices.Equal(got, sent[:len(got)]) {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
		if len(got) > 0 && c.last != fmt.Sprint(len(got)-1) {
			t.Fatalf("cut at %d: behind %q after %d events", cut, c.last, len(got))
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("id: 1\nretry: 5\ndata: {}\n\n")
	f.Add("data: a\r\ndata\r\n\r\n:\n")
	f.Fuzz(func(t *testing.T, stream string) {
		got, c, _ := collect(strings.NewReader(stream), 1<<12)
		if !usableID(c.last) || c.retry < 0 || c.retry > mostRetry {
			t.Errorf("cursor %+v", c)
		}
		for _, text := range got {
			if strings.TrimSpace(text) == "" {
				t.Errorf("took %q", got)
			}
		}
	})
}
