package filestore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
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

// ParseKey reads a key from 64 hexadecimal digits or from base64 of 32 bytes.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if raw, err := decode(text); err == nil && len(raw) == len(Key{}) {
			return Key(raw), nil
		}
	}
	return Key{}, errors.New("a store key must be 32 bytes as 64 hexadecimal digits or as base64")
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
