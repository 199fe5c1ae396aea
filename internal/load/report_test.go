package load

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (a changed meaning needs a new Schema; -update rewrites it):\n%s", file, got)
	}
}

// A run with some of everything. Every group has one connection, and what the
// server does depends on the group's own calls only, so that in a bubble the
// report is the same to the byte.
func everything() (*server, Plan) {
	var mu sync.Mutex
	calls := map[string]int{}
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, _ int, m *received) {
		mu.Lock()
		who := m.header.Get("Authorization")
		n := calls[who]
		calls[who]++
		each := time.Duration(2+n%7) * time.Millisecond
		if calls["Bearer a"] > 0 {
			each *= 3
		}
		mu.Unlock()
		switch {
		case m.class() == "wrong":
			respond(w, m, `{"isError":true,"content":[{"type":"text","text":"parameters.x: a number"}]}`)
		case n%16 == 7:
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		case n%16 == 8:
			w.WriteHeader(http.StatusTooManyRequests)
		case n%100 == 69:
			pause(r.Context(), time.Hour)
		default:
			streamed(w, event(`{"method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, m.Params.Meta["progressToken"]))
			if pause(r.Context(), each) {
				streamed(w, event(`{"id":%s,"result":{}}`, m.ID))
			}
		}
	}}
	mix := []Share{{call("x"), 3}, {call("wrong"), 1}}
	return s, Plan{
		Groups: []Group{
			{Name: "quiet", Connections: 1, Rate: 20, Tokens: []string{"q"}, Mix: []Share{{call("x"), 1}}},
			{Name: "a", Connections: 1, Rate: 80, Tokens: []string{"a"}, Mix: mix},
			{Name: "b", Connections: 1, Rate: 80, Tokens: []string{"b"}, Mix: mix},
		},
		Fairness: true, Warmup: 500 * time.Millisecond, Duration: 2 * time.Second, Timeout: 250 * time.Millisecond, Progress: true, Seed: 42,
		Checks: []Check{{What: MaxP99, Limit: 20}, {What: MaxErrors, Group: "a", Limit: 0.9}, {What: MinRate, Limit: 1}, {What: MaxP99, Group: "b", Limit: 10000}, {What: MaxRatio, Limit: 2}},
	}
}

func TestReportIsAPromise(t *testing.T) {
	s, p := everything()
	bubble(t, s, p, func(t *testing.T, r *Report) {
		r.Build = Build{"v1.2.3", "c0ffee", "go1.26"}
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "report.json", append(text, '\n'))
		var table bytes.Buffer
		if err := r.Print(&table); err != nil {
			t.Fatal(err)
		}
		golden(t, "report.txt", table.Bytes())

		// The sums agree, whatever the numbers are.
		for _, ph := range r.Phases {
			var due, late, warmup uint64
			for _, g := range slices.Concat(ph.Groups, []Result{ph.Total}) {
				var outcomes uint64
				for name, n := range g.Outcomes {
					if name != "cut" {
						outcomes += n
					}
				}
				if outcomes != g.Due || g.Latency.Count != g.Outcomes["ok"] || g.Latency.Beyond != g.Outcomes["unsent"]+g.Outcomes["timeout"] {
					t.Errorf("%s/%s: due %d, outcomes %v, latency %+v", ph.Name, g.Name, g.Due, g.Outcomes, g.Latency)
				}
				if g.Name != totalName {
					due, late, warmup = due+g.Due, late+g.Late, warmup+g.Warmup
				}
			}
			if ph.Total.Due != due || ph.Total.Late != late || ph.Total.Warmup != warmup {
				t.Errorf("%s: the total is not the sum of the groups", ph.Name)
			}
		}
	})
}

// Every member of the JSON is always there: a reader need not ask.
func TestReportHasNoOptionalMembers(t *testing.T) {
	shape := func(r *Report) []string {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		var paths []string
		var walk func(string, any)
		walk = func(at string, v any) {
			switch v := v.(type) {
			case map[string]any:
				for k, e := range v {
					walk(at+"."+k, e)
				}
			case []any:
				for _, e := range v {
					walk(at+"[]", e)
				}
			default:
				paths = append(paths, at)
			}
		}
		walk("", v)
		slices.Sort(paths)
		return slices.Compact(paths)
	}
	var empty, full []string
	s, p := everything()
	bubble(t, s, p, func(_ *testing.T, r *Report) { full = shape(r) })
	bubble(t, &server{}, Plan{Groups: one(Group{}), MaxCalls: 1}, func(_ *testing.T, r *Report) { empty = shape(r) })
	for _, path := range empty {
		if !slices.Contains(full, path) && path != ".fairness" {
			t.Errorf("%s is only there when nothing was measured", path)
		}
	}
	for _, path := range full {
		optional := slices.ContainsFunc([]string{".fairness.", ".checks[]", ".jain[]", ".statuses.", ".texts.", ".refusals[]"}, func(s string) bool { return strings.Contains(path, s) })
		if !slices.Contains(empty, path) && !optional {
			t.Errorf("%s is missing when nothing was measured", path)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestPrintTellsWhenItCannot(t *testing.T) {
	p := valid().withDefaults()
	if err := newReport(&p).Print(full{}); err == nil {
		t.Error("printing to a closed file works")
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 0.0123: "0.0123", 1.2345: "1.23", 99.96: "100", 999.4: "999", 999.6: "1000", 12345.6: "12346"} {
		if got := number(&in); got != want {
			t.Errorf("%g is shown as %s, want %s", in, got, want)
		}
	}
	if number(nil) != "-" || percent(nil) != "-" || times(nil) != "not known" {
		t.Error("what is not known is shown as a number")
	}
}
