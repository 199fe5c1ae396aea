package sessions_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

var bob = session.Owner{Tenant: alice.Tenant, Issuer: alice.Issuer, Subject: "bob"}

// asBob invokes a tool on a session that is granted to bob.
func asBob[Out any](t *testing.T, d *session.Directory, id session.ID, tool tools.Tool, parameters string) (out Out, err error) {
	t.Helper()
	h, err := d.Acquire(t.Context(), bob, id)
	if err != nil {
		return out, err
	}
	defer h.Release()
	result, err := tool.Invoke(t.Context(), &tools.Call{Session: h}, json.RawMessage(parameters))
	if err == nil {
		err = json.Unmarshal(result, &out)
	}
	return out, err
}

func TestShareAndUnshare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, id := open(t)
		out, env, err := call[sessions.ShareOutput](t, d, id, sessions.Share, `{"subject":"bob","access":"read","ttlSeconds":60}`)
		if err != nil {
			t.Fatal(err)
		}
		g := sessions.GrantView{Subject: "bob", Issuer: alice.Issuer, Access: "read", GrantedAt: time.Now().UTC(), ExpiresAt: time.Now().Add(time.Minute).UTC()}
		if out.Grant != g || len(out.Grants) != 1 || out.Grants[0] != g || out.SessionID != string(id) {
			t.Errorf("got %+v, want %+v", out, g)
		}
		if n := env.Next; len(n) != 1 || n[0].Operation != "session_unshare" || n[0].Parameters["subject"] != "bob" || n[0].Parameters["issuer"] != alice.Issuer {
			t.Errorf("next %+v", n)
		}
		// The same again is the same, and what was proposed is a call that works.
		if again, _, err := call[sessions.ShareOutput](t, d, id, sessions.Share, `{"subject":"bob","access":"read","ttlSeconds":60}`); err != nil || again.Grant != g {
			t.Errorf("again: %+v, %v", again, err)
		}
		info, err := asBob[sessions.InfoOutput](t, d, id, sessions.Info, `{}`)
		if err != nil || info.Access != "read" || info.SharedBy != "alice" || !info.GrantExpiresAt.Equal(g.ExpiresAt) || info.Quota != nil || info.Grants != nil {
			t.Errorf("the grantee's info: %+v, %v", info, err)
		}
		info, _, err = call[sessions.InfoOutput](t, d, id, sessions.Info, `{}`)
		if err != nil || info.Access != "owner" || info.SharedBy != "" || info.GrantExpiresAt != nil || len(info.Grants) != 1 {
			t.Errorf("the owner's info: %+v, %v", info, err)
		}
		want := sessions.Quota{Sessions: 1, MaxSessions: session.DefaultMaxPerOwner, MaxBytes: session.DefaultMaxBytesPerOwner}
		if info.Quota == nil || *info.Quota != want {
			t.Errorf("quota %+v, want %+v", info.Quota, want)
		}
		if _, err := asBob[sessions.ShareOutput](t, d, id, sessions.Share, `{"subject":"eve","access":"read"}`); fault.From(err).Code != "read_only_grant" {
			t.Errorf("share by a reader: %v", err)
		}

		next, err := json.Marshal(env.Next[0].Parameters)
		if err != nil {
			t.Fatal(err)
		}
		for _, revoked := range []bool{true, false} {
			out, _, err := call[sessions.UnshareOutput](t, d, id, sessions.Unshare, string(next))
			if err != nil || out.Revoked != revoked || len(out.Grants) != 0 {
				t.Errorf("unshare: %+v, %v, want revoked %v", out, err, revoked)
			}
		}
		if _, err := asBob[sessions.InfoOutput](t, d, id, sessions.Info, `{}`); fault.KindOf(err) != fault.NotFound {
			t.Errorf("after the revocation: %v", err)
		}
	})
}

// What was found before the grant expired tells nothing afterwards.
func TestInfoAfterTheGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, id := open(t)
		if _, _, err := call[sessions.ShareOutput](t, d, id, sessions.Share, `{"subject":"bob","access":"write","ttlSeconds":60}`); err != nil {
			t.Fatal(err)
		}
		h, err := d.Acquire(t.Context(), bob, id)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Release()
		time.Sleep(time.Minute)
		for _, tool := range []tools.Tool{sessions.Info, sessions.Export} {
			if _, err := tool.Invoke(t.Context(), &tools.Call{Session: h}, nil); fault.From(err).Code != "session_unavailable" {
				t.Errorf("%s: %v", tool.Spec().Name, err)
			}
		}
	})
}

func TestShareBadArguments(t *testing.T) {
	d, id := open(t)
	for _, c := range [][2]string{
		{`{}`, ""},
		{`{"subject":"bob"}`, ""},
		{`{"subject":"","access":"read"}`, ""},
		{`{"subject":"bob","access":"own"}`, ""},
		{`{"subject":"alice","access":"read"}`, "share_with_self"},
		{`{"subject":"bob","access":"read","ttlSeconds":0}`, ""},
		{`{"subject":"bob","access":"read","ttlSeconds":86401}`, ""},
		{`{"subject":"bob","access":"read","ttlSeconds":99999999999}`, ""},
	} {
		parameters, code := c[0], c[1]
		_, _, err := call[sessions.ShareOutput](t, d, id, sessions.Share, parameters)
		if bad, ok := errors.AsType[*tools.BadArguments](err); !ok || bad.Code != code {
			t.Errorf("%s: %v, want code %q", parameters, err, code)
		}
	}
}
