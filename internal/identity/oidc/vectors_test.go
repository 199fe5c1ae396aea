package oidc

import (
	"context"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	rfc7515A2 = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	keyA2     = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`
	rfc7515A3 = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	keyA3     = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	rfc8037A4 = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	keyA4     = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

	// RFC 9449 §4.1 and §6.1.
	rfc9449Proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA"
	rfc9449Thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

// fixed is a keySource of one set.
type fixed struct{ set keySet }

func (f fixed) candidates(_ context.Context, kid, alg string) ([]key, error) {
	found, _, err := f.set.find(kid, alg)
	return found, err
}

// TestPublicVectors verifies the signatures that the RFCs print, and refuses them
// with one bit changed.
func TestPublicVectors(t *testing.T) {
	for name, v := range map[string]struct{ token, key, alg string }{
		"RFC 7515 A.2": {rfc7515A2, keyA2, "RS256"},
		"RFC 7515 A.3": {rfc7515A3, keyA3, "ES256"},
		"RFC 8037 A.4": {rfc8037A4, keyA4, "EdDSA"},
	} {
		set, err := parseKeys([]byte(`{"keys":[` + v.key + `]}`))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ver := newVerifier(Config{Issuer: "joe", Audiences: []string{"x"}}.withDefaults())
		ver.source = fixed{set}
		check := func(raw string) error {
			s := &signature{verifier: ver, token: &token{raw: raw, alg: v.alg}}
			_, err := s.VerifySignature(t.Context(), raw)
			return err
		}
		if err := check(v.token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b := []byte(v.token)
		for _, at := range []int{len(b) / 2, len(b) - 20} {
			changed := append([]byte{}, b...)
			if changed[at]++; changed[at] == '.' || changed[at] == 'z'+1 || changed[at] == '9'+1 || changed[at] == 'Z'+1 {
				changed[at] = 'A'
			}
			if err := check(string(changed)); identity.Reason(err) == "" {
				t.Errorf("%s, byte %d changed: %v", name, at, err)
			}
		}
	}
	// The token of A.2 as this server meets it: it says too little to be one.
	ver := newVerifier(Config{Issuer: "joe", Audiences: []string{"x"}, Typ: TypCompatible}.withDefaults())
	if _, err := ver.Verify(t.Context(), rfc7515A2); identity.Reason(err) != "not_an_access_token" {
		t.Errorf("RFC 7515 A.2 as an access token: %v", err)
	}
}

func TestProofVector(t *testing.T) {
	claims, print, err := parseProof(rfc9449Proof)
	if err != nil || print != rfc9449Thumb {
		t.Fatalf("thumbprint %s, %v", print, err)
	}
	if htm, _ := claims.text("htm"); htm != "POST" {
		t.Errorf("htm %q", htm)
	}
	c, err := NewProofChecker(ProofConfig{Bases: []string{"https://server.example.com/"}})
	if err != nil {
		t.Fatal(err)
	}
	p := identity.Proof{JWT: rfc9449Proof, Method: "POST", Path: "/token"}
	if err := c.checkRequest(claims, p); err != nil {
		t.Error(err)
	}
	// It is for a token endpoint: without ath it is none for a resource.
	if err := c.verify(p, rfc9449Thumb, "00", time.Unix(1562265296, 0)); identity.Reason(err) != "proof_for_another_token" {
		t.Errorf("a proof without ath: %v", err)
	}
}

func TestNormalURL(t *testing.T) {
	for in, want := range map[string]string{
		"HTTPS://Example.COM:443":     "https://example.com/",
		"http://a:80/x?y#z":           "http://a/x",
		"https://a:8443/%7ex/%2fy":    "https://a:8443/~x/%2Fy",
		"https://a/b/":                "https://a/b/",
		"https://[::1]:443/x":         "https://[::1]/x",
		"https://a/%61%zz":            "",
		"ftp://a/":                    "",
		"/relative":                   "",
		"https://user@a/":             "",
		"https:a":                     "",
		"":                            "",
		"https://a/\u00e9":            "https://a/%C3%A9",
		"https://a/x/../y":            "https://a/x/../y",
		"https://a:/x":                "https://a/x",
		"https://EXAMPLE.com/Case":    "https://example.com/Case",
		"http://a:443/":               "http://a:443/",
		"https://a:80/":               "https://a:80/",
		"https://a/x%2E%2e/y":         "https://a/x../y",
		"https://a/a%20b":             "https://a/a%20b",
		"https://a/?access_token=abc": "https://a/",
	} {
		if got, err := normalURL(in); got != want || (err == nil) != (want != "") {
			t.Errorf("normalURL(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestReplaysAreBounded(t *testing.T) {
	const window = time.Minute
	r := newReplays(16, window)
	now := time.Unix(1_800_000_000, 0)
	take := func(key, id string, at time.Time) string {
		err := r.take(key, id, at)
		if err == nil {
			return ""
		}
		if reason := identity.Reason(err); reason != "" {
			return reason
		}
		return "full"
	}
	for i, want := range []string{"", "", "", "", "full"} {
		if got := take("greedy", string(rune('a'+i)), now); got != want {
			t.Errorf("proof %d of one key: %q, want %q", i, got, want)
		}
	}
	if got := take("other", "a", now); got != "" {
		t.Errorf("another key's: %q", got)
	}
	for _, at := range []time.Duration{0, window - 1, window, 2*window - 1} { // through the turn of a generation
		if got := take("greedy", "a", now.Add(at)); got != "proof_replayed" {
			t.Errorf("again after %s: %q", at, got)
		}
	}
	if got := take("greedy", "a", now.Add(5*window)); got != "" {
		t.Errorf("after the window, when its age refuses it: %q", got)
	}
	for k := range 4 {
		for i := range 4 {
			take(string(rune('k'+k)), string(rune('0'+i)), now.Add(5*window))
		}
	}
	if n := len(r.now.ids); n > 16 {
		t.Errorf("%d remembered, at most 16", n)
	}
	if got := take("late", "x", now.Add(5*window)); got != "full" {
		t.Errorf("beyond the bound: %q", got)
	}
}

func TestBreaker(t *testing.T) {
	var b breaker
	now := time.Unix(1_800_000_000, 0)
	for range breakAfter {
		if _, wait := b.enter(now); wait != 0 {
			t.Fatal("open too early")
		}
		b.leave(false, failed, now)
	}
	if _, wait := b.enter(now); wait < firstBreak {
		t.Errorf("wait %s", wait)
	}
	for i, pause := 0, firstBreak; i < 8; i++ {
		now = now.Add(pause)
		trial, wait := b.enter(now)
		if !trial || wait != 0 {
			t.Fatalf("trial %d: %v, wait %s", i, trial, wait)
		}
		if second, wait := b.enter(now); second || wait == 0 {
			t.Error("two trials at once")
		}
		b.leave(true, failed, now)
		pause = min(2*pause, maxBreak)
		if _, wait := b.enter(now); wait != pause {
			t.Errorf("after trial %d: wait %s, want %s", i, wait, pause)
		}
	}
	now = now.Add(maxBreak)
	trial, _ := b.enter(now)
	b.leave(trial, givenUp, now)
	if trial, wait := b.enter(now); !trial || wait != 0 {
		t.Error("a trial that was given up blocks the next one")
	}
	b.leave(true, worked, now)
	if trial, wait := b.enter(now); trial || wait != 0 {
		t.Error("still open after it worked")
	}
}
