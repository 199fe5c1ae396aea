package filestore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Config says where and how records are kept.
type Config struct {
	// Dir holds the file lyceum.db (mode 0600) and what lies beside it. It is
	// created with mode 0700. One process uses it at a time.
	Dir string
	// Keys encrypt the file: the first encrypts what is written, all of them
	// decrypt. Without any it is plain. A key stays here until Rekey has run
	// with its successor in front.
	Keys []Key
	// AllowPlain lets a plain file be opened with Keys. What is written from then
	// on is encrypted; Rekey encrypts the rest, and from then on plain values
	// are refused. There is no way back but a new store.
	AllowPlain bool
	// MaxBytes bounds what is used in the file; 0 is the disk. A write that would
	// go beyond fails with fault.Unavailable, deletions and Touch do not. The file
	// itself may be larger by its gaps, and by the 16 MiB that it grows at a time.
	MaxBytes int64
	// NoCompact keeps the file as large as it was. Otherwise Open copies it when
	// more than half of it is free, for which the disk must have room.
	NoCompact bool
	// Log may be nil.
	Log *slog.Logger
}

// Key is a 256-bit secret. It never prints.
type Key [32]byte

// ParseKeys returns the keys in text, each 64 hexadecimal digits or base64 of 32
// bytes, padded or not, separated by commas or white space. Its error repeats
// nothing of them.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for i, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		key, ok := parseKey(word)
		if !ok {
			return nil, fmt.Errorf("key %d must have %d bytes in base64 or hexadecimal", i+1, len(key))
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(text string) (key Key, ok bool) {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if raw, err := decode(text); err == nil && len(raw) == len(key) {
			return Key(raw), true
		}
	}
	return key, false
}

// ReadKeys returns the keys in a file, at least one.
func ReadKeys(file string) ([]Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the keys of the store: %w", err)
	}
	keys, err := ParseKeys(string(text))
	if err == nil && len(keys) == 0 {
		err = errors.New("there is no key in it")
	}
	if err != nil {
		return nil, fmt.Errorf("keys of the store in %s: %w", file, err)
	}
	return keys, nil
}

// keyID names a key in a file.
type keyID [8]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

func (k Key) id() keyID {
	sum := sha256.Sum256(append([]byte("lyceum store key id\x00"), k[:]...))
	return keyID(sum[:8])
}

// String names the key without showing it, as files and errors do.
func (k Key) String() string { return "key " + k.id().String() }

// Format prints the name of the key whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue shows the name of the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText gives the name of the key: no encoder writes the key itself.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
