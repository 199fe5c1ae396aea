package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel runs a log against a list of what was appended: opened and closed,
// failing and working, rotated, cut, in any order. Under Refuse what Append took
// is in the log, in order, once, and nothing else; and the log is always intact.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		if err != nil {
			rt.Fatal(err)
		}
		disk := &faulty{unsafe: true}
		cfg := Config{
			Dir: dir, Fsync: rapid.SampledFrom([]Fsync{FsyncAlways, FsyncInterval, FsyncNone}).Draw(rt, "fsync"),
			FlushEvery: time.Microsecond, FsyncInterval: time.Millisecond, RetryEvery: time.Millisecond, KeepFiles: -1,
			MaxFileBytes: 4 << 10, CheckpointEvery: rapid.IntRange(1, 5).Draw(rt, "every"), files: disk.opener,
		}
		var l *Log
		var want []string
		broken, steps := false, 0
		open := func() {
			if l, err = Open(cfg); err != nil {
				rt.Fatal(err)
			}
		}
		heal := func() {
			disk.set(func(d *faulty) { d.write, d.sync = nil, nil })
			broken = false
			// A write that failed before may still be on its way to say so.
			eventually(t, "good health", func() bool { return l.Flush(t.Context()) == nil && l.Health() == nil })
		}
		open()
		defer func() { _ = l.Close() }() // twice is once
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) {
				r := call(len(want))
				if err := l.Append(t.Context(), r); err == nil {
					want = append(want, r.RequestID)
				} else if !broken {
					rt.Fatalf("append: %v", err)
				}
			},
			"break": func(rt *rapid.T) {
				short := rapid.IntRange(0, 2000).Draw(rt, "short")
				disk.set(func(d *faulty) { d.short, d.write = short, errIO })
				broken = true
			},
			"heal": func(*rapid.T) { heal() },
			"reopen": func(rt *rapid.T) {
				heal()
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "torn") {
					tear(rt, dir)
				}
				cfg.CheckpointEvery = rapid.IntRange(1, 5).Draw(rt, "every")
				open()
			},
			"": func(rt *rapid.T) {
				if steps++; broken || steps%4 != 0 { // it reads the whole log
					return
				}
				if err := l.Flush(t.Context()); err != nil {
					rt.Fatal(err)
				}
				r, err := VerifyDir(t.Context(), dir, keys(l))
				if err != nil || !r.OK {
					rt.Fatalf("%v %v", err, r.Problems)
				}
				var got []string
				for e, err := range l.Query(t.Context(), Filter{Kind: Call}) {
					if err != nil {
						rt.Fatal(err)
					}
					got = append(got, e.RequestID)
				}
				if !slices.Equal(got, want) {
					rt.Fatalf("the log has %v\nwant %v", got, want)
				}
			},
		})
		heal()
		if err := l.Close(); err != nil {
			rt.Fatal(err)
		}
		if n := len(all(t, dir, Filter{Kind: Call})); n != len(want) {
			rt.Fatalf("%d records in the end, want %d", n, len(want))
		}
		mustBeIntact(t, l, VerifyOptions{Keys: keys(l).Keys, Sealed: true})
	})
}

// tear leaves half a line, as a kill does.
func tear(t *rapid.T, dir string) {
	segs, err := Segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(segs[len(segs)-1].Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"v":1,"seq":` + fmt.Sprint(rapid.IntRange(0, 99).Draw(t, "n"))); err != nil {
		t.Fatal(err)
	}
}

func TestQuery(t *testing.T) {
	l := begin(t, Config{MaxFileBytes: 4 << 10})
	base := time.Date(2026, 7, 28, 0, 0, 0, 0, time.UTC)
	for n := range 60 {
		r := call(n)
		r.Time = base.Add(time.Duration(n) * time.Hour)
		if n%2 == 1 {
			r.Kind, r.Tenant, r.Subject, r.ClientID, r.Operation, r.Session = Denied, "globex", "bob", "agent", "stats", "rs_other"
			r.Decision, r.Code, r.Outcome, r.TraceID = Deny, "missing_scope", "forbidden", "t-1"
		}
		// What looks like a member of the record and is an argument.
		r.Arguments = []byte(`{"a":1,"tenant":"evil","kind":"evil","reason":"evil"}`)
		r.Reason = `,"tenant":"evil"`
		add(t, l, r)
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		f    Filter
		want int
	}{
		{"all", Filter{Since: base, Until: base.Add(1000 * time.Hour), Subject: "alice"}, 30},
		{"kind", Filter{Kind: Denied}, 30},
		{"tenant", Filter{Tenant: "globex"}, 30},
		{"tenant prefix", Filter{Tenant: "glob"}, 0},
		{"argument", Filter{Tenant: "evil"}, 0},
		{"subject and tenant", Filter{Subject: "alice", Tenant: "globex"}, 0},
		{"client", Filter{ClientID: "agent"}, 30},
		{"operation", Filter{Operation: "stats"}, 30},
		{"decision", Filter{Decision: Deny}, 30},
		{"code", Filter{Code: "missing_scope"}, 30},
		{"outcome", Filter{Outcome: "forbidden"}, 30},
		{"trace", Filter{TraceID: "t-1"}, 30},
		{"request", Filter{RequestID: "r-17"}, 1},
		{"handle", Filter{Session: "rs_other"}, 30},
		{"hash", Filter{Session: l.key.SessionHash("rs_other")}, 30},
		{"since", Filter{Kind: Call, Since: base.Add(30 * time.Hour)}, 15},
		{"until", Filter{Kind: Call, Until: base.Add(30 * time.Hour)}, 15},
		{"limit", Filter{Kind: Call, Limit: 3}, 3},
		{"large limit", Filter{Kind: Call, Limit: MaxLimit + 1}, 30},
	}
	for _, tt := range tests {
		var got []Entry
		for e, err := range l.Query(t.Context(), tt.f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if len(got) != tt.want {
			t.Errorf("%s: %d records, want %d", tt.name, len(got), tt.want)
		}
		if !slices.IsSortedFunc(got, func(a, b Entry) int { return int(a.Seq) - int(b.Seq) }) {
			t.Errorf("%s: not in order", tt.name)
		}
		if tt.name == "limit" && got[2].RequestID != "r-58" {
			t.Errorf("limit keeps %s last", got[2].RequestID)
		}
		for _, e := range got[:min(1, len(got))] {
			text := content(t, l.cfg.Dir)
			if e.FileName != fileName(1) {
				text, _ = os.ReadFile(filepath.Join(l.cfg.Dir, e.FileName))
			}
			if at := text[e.OffsetInFile:]; string(at[:len(e.Line)]) != string(e.Line) {
				t.Errorf("%s: the line is not where the entry says", tt.name)
			}
		}
	}
	for range l.Query(t.Context(), Filter{}) {
		break // an early end leaves nothing open
	}
	segs, _ := Segments(l.cfg.Dir)
	if skipped := len(segs) - len(after(segs, time.Now().Add(time.Hour))); skipped != len(segs)-1 {
		t.Errorf("%d of %d files are passed over for a time to come", skipped, len(segs))
	}
}
