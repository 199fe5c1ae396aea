package config

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// keyBytes is the length of a key of storage.key.
const keyBytes = 32

// ParseKeys returns the keys in text, 32 bytes each, that are written in base64,
// padded or not, or in hexadecimal, and separated by commas or white space. Its
// error repeats nothing of them.
func ParseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for i, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		key, ok := parseKey(word)
		if !ok {
			return nil, fmt.Errorf("key %d must have %d bytes in base64 or hexadecimal", i+1, keyBytes)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(text string) ([]byte, bool) {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(text); err == nil && len(key) == keyBytes {
			return key, true
		}
	}
	return nil, false
}
