package filestore

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// The vectors of the C2SP specification.
func TestXAESVectors(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, c := range []struct {
		key        byte
		data, want string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x := newXAES(Key(bytes.Repeat([]byte{c.key}, 32)))
		got := x.message(nonce).Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte(c.data))
		if hex.EncodeToString(got) != c.want {
			t.Errorf("key %02x: %x, want %s", c.key, got, c.want)
		}
		plain, err := x.open(append(bytes.Clone(nonce), got...), []byte(c.data))
		if err != nil || string(plain) != "XAES-256-GCM" {
			t.Errorf("open: %q, %v", plain, err)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k, ok := parseKey(strings.Repeat("ab", 32))
	if !ok {
		t.Fatal("hexadecimal is refused")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		if got := fmt.Sprintf(verb, Config{Keys: []Key{k}}); strings.Contains(strings.ToLower(got), "abab") || strings.Contains(got, "171 171") {
			t.Errorf("%s shows a key: %s", verb, got)
		}
	}
	same, ok := parseKey("q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=")
	if !ok || same != k {
		t.Errorf("base64: %v, %v", same == k, ok)
	}
	for _, bad := range []string{"", "abc", strings.Repeat("ab", 31), strings.Repeat("zz", 32)} {
		if _, ok := parseKey(bad); ok {
			t.Errorf("parseKey(%q) succeeds", bad)
		}
	}
}
