package search_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

// desk is one owner with one session and all operations of the family.
type desk struct {
	testing.TB
	dir    *session.Directory
	facade *tools.Facade
	owner  session.Owner
	id     session.ID
	limits budget.Limits
	onDone func(done, total float64, message string)
}

func newDesk(tb testing.TB) *desk {
	tb.Helper()
	r, err := tools.NewRegistry(search.MCTS, search.Beam, search.TreeOfThought, search.GraphOfThought, search.PDR)
	if err != nil {
		tb.Fatal(err)
	}
	d := &desk{
		TB: tb, dir: session.New(session.Config{}, nil), facade: tools.NewFacade(r),
		owner:  session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice"},
		limits: budget.Limits{Time: time.Minute, Steps: 50_000_000, Nodes: 2_000_000},
	}
	tb.Cleanup(func() { d.dir.Close() })
	d.open()
	return d
}

// open starts another session.
func (d *desk) open() {
	d.Helper()
	h, err := d.dir.Open(d.Context(), d.owner, session.Params{})
	if err != nil {
		d.Fatal(err)
	}
	defer h.Release()
	d.id = h.ID()
}

// call sends arguments of the facade as the transport does.
func (d *desk) call(arguments string) (*tools.Envelope, error) {
	d.Helper()
	r, err := d.facade.Decode(json.RawMessage(arguments))
	if err != nil {
		d.Fatalf("%s: %v", arguments, err)
	}
	h, err := d.dir.Acquire(d.Context(), d.owner, d.id)
	if err != nil {
		d.Fatal(err)
	}
	defer h.Release()
	c := &tools.Call{Session: h, Limits: d.limits, OnProgress: d.onDone}
	r.Start(c)
	result, err := r.Tool.Invoke(d.Context(), c, r.Parameters)
	return c.Envelope(r.Tool.Spec(), result, err), err
}

func (d *desk) send(operation, format string, args ...any) (*tools.Envelope, error) {
	d.Helper()
	return d.call(fmt.Sprintf(`{"operation":%q,"parameters":%s}`, operation, fmt.Sprintf(format, args...)))
}

// must is send for calls that have to work; it reads the result into a T.
func must[T any](d *desk, operation, format string, args ...any) (out T, e *tools.Envelope) {
	d.Helper()
	e, err := d.send(operation, format, args...)
	if err != nil {
		d.Fatalf("%s %s: %v", operation, fmt.Sprintf(format, args...), err)
	}
	if err := json.Unmarshal(e.Result, &out); err != nil {
		d.Fatal(err)
	}
	return out, e
}

// refused asserts that a call fails at path and says want.
func (d *desk) refused(path, want, operation, format string, args ...any) {
	d.Helper()
	e, err := d.send(operation, format, args...)
	text := fmt.Sprintf(format, args...)
	bad, ok := errors.AsType[*tools.BadArguments](err)
	switch {
	case !ok:
		d.Errorf("%s: got %v, want bad arguments", text, err)
	case bad.Issues[0].Path != path || !strings.Contains(bad.Error(), want):
		d.Errorf("%s: got %+v, want %s: %q", text, bad.Issues, path, want)
	case slices.ContainsFunc(bad.Issues, func(is tools.Issue) bool { return is.Expected == "" }):
		d.Errorf("%s: got %+v, which does not say what would be right", text, bad.Issues)
	case e.Error == nil || len(e.Error.Example) == 0:
		d.Errorf("%s: the failure has no example", text)
	}
}

func init() {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "rewrite the golden conversations")
	}
}

var (
	objectID = regexp.MustCompile(`(tree|beam|thoughts|graph|research)_[a-z2-7]{20,}`)
	moment   = regexp.MustCompile(`"expires":"[^"]*"`)
)

// step is one call of a conversation. In its parameters $id is the object that
// the conversation is about, and $0, $1 are the tickets that were asked for last.
type step struct{ prompt, parameters string }

// talk runs a conversation and compares all of it with the golden file.
func (d *desk) talk(operation, file, idField string, steps []step) {
	d.Helper()
	var b strings.Builder
	id, tickets := "", []string(nil)
	for _, s := range steps {
		p := strings.ReplaceAll(s.parameters, "$id", id)
		for i, t := range tickets {
			p = strings.ReplaceAll(p, fmt.Sprintf("$%d", i), t)
		}
		e, err := d.call(fmt.Sprintf(`{"operation":%q,"prompt":%q,"parameters":%s}`, operation, s.prompt, p))
		fmt.Fprintf(&b, "> %s%s\n", map[bool]string{true: "", false: s.prompt + " "}[s.prompt == ""], s.parameters)
		if err != nil {
			fmt.Fprintf(&b, "error %s: %s\n\n", e.Error.Code, objectID.ReplaceAllString(e.Error.Message, "${1}_ID"))
			continue
		}
		var out map[string]any
		if err := json.Unmarshal(e.Result, &out); err != nil {
			d.Fatal(err)
		}
		if text, ok := out[idField].(string); ok {
			id = text
		}
		if list, ok := out["tickets"].([]any); ok {
			tickets = nil
			for _, t := range list {
				tickets = append(tickets, t.(map[string]any)["ticket"].(string))
			}
		}
		b.WriteString(written(d, e))
	}
	golden := filepath.Join("testdata", file)
	text := b.String()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			d.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			d.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		d.Fatalf("%v (run go test ./tools/search -update)", err)
	}
	if string(want) != text {
		got, old := strings.Split(text, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(got), len(old)) {
			if got[i] != old[i] {
				d.Fatalf("%s line %d:\n%s\nwant\n%s\n(run go test ./tools/search -update, and read the diff)", golden, i+1, got[i], old[i])
			}
		}
		d.Fatalf("%s has another length (run go test ./tools/search -update, and read the diff)", golden)
	}
}

// written is an envelope for people, without what differs from run to run.
func written(d *desk, e *tools.Envelope) string {
	d.Helper()
	var b strings.Builder
	clean := func(text string) string {
		return moment.ReplaceAllString(objectID.ReplaceAllString(text, "${1}_ID"), `"expires":"…"`)
	}
	fmt.Fprintf(&b, "%s\n", clean(string(e.Result)))
	fmt.Fprintf(&b, "basis %s; method %s; source %s", e.Basis, e.Method, e.Source)
	if e.Seed != nil {
		fmt.Fprintf(&b, "; seed %d", *e.Seed)
	}
	b.WriteByte('\n')
	for _, w := range e.Warnings {
		fmt.Fprintf(&b, "warning %s: %s\n", w.Code, w.Message)
	}
	for _, n := range e.Next {
		p, err := json.Marshal(n.Parameters)
		if err != nil {
			d.Fatal(err)
		}
		fmt.Fprintf(&b, "next %s %s: %s\n", n.Operation, clean(string(p)), n.Why)
	}
	b.WriteByte('\n')
	return b.String()
}
