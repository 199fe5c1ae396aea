package filestore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func TestParseKeys(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0x01}, 16)
	for name, text := range map[string]string{
		"hexadecimal": hex.EncodeToString(raw), "base64": base64.StdEncoding.EncodeToString(raw),
		"unpadded": base64.RawStdEncoding.EncodeToString(raw), "url": base64.URLEncoding.EncodeToString(raw),
		"lines": hex.EncodeToString(raw) + "\n\n" + base64.StdEncoding.EncodeToString(raw) + "\n",
	} {
		got, err := ParseKeys(text)
		if err != nil || len(got) == 0 || got[len(got)-1] != Key(raw) {
			t.Errorf("%s: ParseKeys = %v, %v, want %v at the end", name, got, err, Key(raw))
		}
	}
	if got, err := ParseKeys(""); err != nil || len(got) != 0 {
		t.Errorf("no text: ParseKeys = %x, %v, want no key", got, err)
	}
	for _, text := range []string{"short", hex.EncodeToString(raw[:31]), base64.StdEncoding.EncodeToString(append(raw, 1)), strings.Repeat("!", 44)} {
		_, err := ParseKeys(text)
		if err == nil {
			t.Errorf("ParseKeys(%q) accepted", text)
		} else if strings.Contains(err.Error(), text) {
			t.Errorf("ParseKeys(%q) repeats the text: %v", text, err)
		}
	}
}
