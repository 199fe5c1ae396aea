package load

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func eventsOf(r io.Reader) ([]string, error) {
	var out []string
	_, err := events(bufio.NewReaderSize(r, 16), nil, func(data []byte) { out = append(out, string(data)) })
	return out, err
}

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, tt := range map[string]struct {
		stream string
		want   []string
	}{
		"empty":              {"", nil},
		"one":                {"event: message\ndata: {}\n\n", []string{"{}"}},
		"no space":           {"data:a\n\n", []string{"a"}},
		"one space is taken": {"data:  a\n\n", []string{" a"}},
		"several lines":      {"data: a\ndata: b\n\n", []string{"a\nb"}},
		"carriage returns":   {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"comments":           {":\n\n: keep\n\ndata: a\n\n:\n\n", []string{"a"}},
		"other fields":       {"id: 1\nretry: 5\ndata: a\nfoo\n\nevent: x\n\n", []string{"a"}},
		"no data":            {"id: 1-0\nretry: 1000\ndata:\n\ndata: a\n\n", []string{"a"}},
		"not finished":       {"data: a\n\ndata: b\n", []string{"a"}},
		"longer than buffer": {"data: " + long + "\n\ndata: b\n\n", []string{long, "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.stream))} {
				if got, err := eventsOf(r); err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%s: %q, %v, want %q", how, got, err, tt.want)
				}
			}
		})
	}
}

func TestEventsThatBreak(t *testing.T) {
	broken := errors.New("broken")
	got, err := eventsOf(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("%q, %v, want one event and the reader's error", got, err)
	}
	endless := io.MultiReader(strings.NewReader("data: "), io.LimitReader(zeros{}, maxAnswer+1))
	if _, err := eventsOf(endless); !errors.Is(err, errTooLong) {
		t.Errorf("an endless line: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// However a stream is cut into reads, its events are the same.
func FuzzEvents(f *testing.F) {
	f.Add("data: a\ndata: b\r\n\r\n:\n\ndata\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		whole, err1 := eventsOf(strings.NewReader(stream))
		bytewise, err2 := eventsOf(iotest.OneByteReader(strings.NewReader(stream)))
		if err1 != nil || err2 != nil || !slices.Equal(whole, bytewise) {
			t.Errorf("%q, %v and %q, %v", whole, err1, bytewise, err2)
		}
	})
}
