package alert

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignature is the example of the Standard Webhooks specification's reference
// implementation.
func TestSignature(t *testing.T) {
	secrets, err := ParseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"test": 2432232314}`)
	now := time.Unix(1614265330, 0)
	head := http.Header{}
	sign(head, secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, body)
	if got, want := head.Get(HeaderSignature), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if err := Verify(secrets[0], head, body, now.Add(Tolerance)); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(h http.Header, body *[]byte, now *time.Time){
		"other body":    func(_ http.Header, b *[]byte, _ *time.Time) { *b = []byte(`{"test": 2432232315}`) },
		"other id":      func(h http.Header, _ *[]byte, _ *time.Time) { h.Set(HeaderID, "msg_x") },
		"other time":    func(h http.Header, _ *[]byte, _ *time.Time) { h.Set(HeaderTimestamp, "1614265331") },
		"no time":       func(h http.Header, _ *[]byte, _ *time.Time) { h.Set(HeaderTimestamp, "soon") },
		"no signature":  func(h http.Header, _ *[]byte, _ *time.Time) { h.Del(HeaderSignature) },
		"other version": func(h http.Header, _ *[]byte, _ *time.Time) { h.Set(HeaderSignature, "v2,"+h.Get(HeaderSignature)[3:]) },
		"replayed":      func(_ http.Header, _ *[]byte, n *time.Time) { *n = n.Add(Tolerance + time.Second) },
		"early":         func(_ http.Header, _ *[]byte, n *time.Time) { *n = n.Add(-Tolerance - time.Second) },
	} {
		h, b, n := head.Clone(), body, now
		change(h, &b, &n)
		if Verify(secrets[0], h, b, n) == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

// TestExchange: while a secret is exchanged, receivers with either take requests.
func TestExchange(t *testing.T) {
	old, next := strings.Repeat("o", 16), "whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 32)))
	both, err := ParseSecrets(next + ", " + old)
	if err != nil {
		t.Fatal(err)
	}
	head := http.Header{}
	sign(head, both, "msg_1", epoch, []byte("{}"))
	for _, text := range []string{old, next} {
		s, err := ParseSecrets(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(s[0], head, []byte("{}"), epoch); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"short", "whsec_!!!", old + ",", strings.Repeat(old+",", 4) + old} {
		if _, err := ParseSecrets(text); err == nil || strings.Contains(err.Error(), old) {
			t.Errorf("%.30s: %v", text, err)
		}
	}
	if s, err := ParseSecrets(""); s != nil || err != nil {
		t.Errorf("nothing: %v %v", s, err)
	}
}
