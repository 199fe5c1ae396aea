package mcpserve

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
)

// altered returns text with one change: bit n of it the other way, or a piece cut
// off or added.
func altered(text string, n uint16, cut string) []string {
	b := []byte(text)
	b[int(n/8)%len(b)] ^= 1 << (n % 8)
	at := int(n) % len(text)
	return []string{string(b), text[:at], text[at+1:], text[:at] + text[at+1:], text + cut, cut + text, text[:at] + cut + text[at:], strings.ToUpper(text), text + text}
}

// A cursor opens for the owner and the method it was made for, and only as it was
// made. Whatever else is tried has one and the same answer.
func FuzzCursorBound(f *testing.F) {
	ours, err := newSealer()
	if err != nil {
		f.Fatal(err)
	}
	other, err := newSealer()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("place"), "t", "i", "s", "resources/list", "t", "i", "s", "resources/list", uint16(3), "A")
	f.Add([]byte(""), "ab", "c", "d", "m", "a", "bc", "d", "m", uint16(200), "=")
	f.Add([]byte{0, 255}, "", "", "", "", "", "", "", "x", uint16(0), "\n")
	f.Add([]byte("p"), "t", "i", "sm", "", "t", "i", "s", "m", uint16(99), "\r")
	f.Fuzz(func(t *testing.T, place []byte, tenant, issuer, subject, method, tenant2, issuer2, subject2, method2 string, bit uint16, cut string) {
		owner := session.Owner{Tenant: tenant, Issuer: issuer, Subject: subject}
		owner2 := session.Owner{Tenant: tenant2, Issuer: issuer2, Subject: subject2}
		c := ours.seal(owner, method, place)
		got, ok := ours.open(owner, method, c)
		if fits := len(c) <= maxCursor; ok != fits || ok && !bytes.Equal(got, place) {
			t.Fatalf("%q opens as %q, %v", place, got, ok)
		}
		if _, ok := ours.open(owner2, method2, c); ok && (owner2 != owner || method2 != method) {
			t.Fatalf("a cursor of %+v in %q opens for %+v in %q", owner, method, owner2, method2)
		}
		if _, ok := other.open(owner, method, c); ok {
			t.Fatal("a cursor of another process opens")
		}
		for _, a := range altered(c, bit, cut) {
			if got, ok := ours.open(owner, method, a); a != c && (ok || got != nil) {
				t.Fatalf("%q, made of %q, opens as %q", a, c, got)
			}
		}
	})
}

// A request state is good for the request it was made for: the same owner, method,
// target and arguments. Every other one is refused with the same words, so that a
// refusal tells nothing.
func FuzzRequestStateBound(f *testing.F) {
	cursors, err := newSealer()
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{cursors: cursors}
	f.Add("alice", "tools/call", "x", "", `{"a":1}`, "alice", "tools/call", "x", "", `{"a":1}`, "rs_1", uint64(7), uint16(3), "A")
	f.Add("alice", "tools/call", "x", "", `{}`, "bob", "tools/call", "x", "", `{}`, "", uint64(0), uint16(77), "=")
	f.Add("alice", "prompts/get", "xy", "", ``, "alice", "resources/read", "x", "y", ``, "rs_1", uint64(0), uint16(12), "-TAMPERED")
	f.Add("a", "tools/call", "x", "y", `{}`, "a", "tools/call", "xy", "", `{}`, "rs_1", uint64(0), uint16(12), "\n")
	f.Fuzz(func(t *testing.T, who, method, name, uri, arguments, who2, method2, name2, uri2, arguments2, id string, seed uint64, bit uint16, cut string) {
		if strings.Contains(method+method2, "\x00") {
			return // methods with states are ours, and have none
		}
		owner, owner2 := session.Owner{Tenant: "t", Issuer: "i", Subject: who}, session.Owner{Tenant: "t", Issuer: "i", Subject: who2}
		m := &message{method: method, name: name, uri: uri, arguments: json.RawMessage(arguments)}
		m2 := &message{method: method2, name: name2, uri: uri2, arguments: json.RawMessage(arguments2)}
		keep := roundState{Session: session.ID(strings.ToValidUTF8(id, "")), Seed: &seed}
		state, err := s.stateOf(owner, m, keep)
		if err != nil {
			t.Fatal(err)
		}
		open := func(o session.Owner, m *message, state string) (*round, *rpcError) {
			raw, err := json.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			with := *m
			with.requestState = raw
			return s.roundOf(o, &with)
		}
		r, bad := open(owner, m, state)
		if bad != nil || r.kept.Session != keep.Session || r.kept.Seed == nil || *r.kept.Seed != seed {
			t.Fatalf("the state of the request itself: %+v %v", r, bad)
		}
		// A request has a name or a URI, never both: the method tells which.
		same := who == who2 && method == method2 && name+uri == name2+uri2 && arguments == arguments2
		if r, bad := open(owner2, m2, state); (bad == nil) != same || bad != nil && (bad != errBadState || r != nil) {
			t.Fatalf("another request: %+v %v, want one that is the same: %v", r, bad, same)
		}
		for _, a := range altered(state, bit, cut) {
			if r, bad := open(owner, m, strings.ToValidUTF8(a, "?")); a != state && (bad != errBadState || r != nil) {
				t.Fatalf("%q, made of %q: %+v %v", a, state, r, bad)
			}
		}
	})
}
