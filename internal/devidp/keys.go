package devidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	keyFile     = "devidp-keys.json"
	maxKeyFile  = 64 << 10
	maxKeysHeld = 4 // the one that signs, and those that tokens may still be signed with
)

// algorithms are those a key may be made for.
var algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// keyring holds the private keys. The first one signs.
type keyring struct {
	dir       string // "" keeps them in memory only
	algorithm string

	mu sync.Mutex

	// owned by mu; the slice is replaced, never changed
	keys []jose.JSONWebKey
}

// openKeys reads the key file of dir, making both if they do not exist. Of two
// processes that make it at the same time, both use the keys of one. dir "" is
// for keys that are forgotten.
func openKeys(dir, algorithm string) (*keyring, error) {
	if !slices.Contains(algorithms, algorithm) {
		return nil, fmt.Errorf("algorithm %q: want one of %q", algorithm, algorithms)
	}
	r := &keyring{dir: dir, algorithm: algorithm}
	if dir == "" {
		k, err := makeKey(algorithm)
		r.keys = []jose.JSONWebKey{k}
		return r, err
	}
	keys, err := readKeys(dir)
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = r.create()
	}
	r.keys = keys
	return r, err
}

func (r *keyring) create() ([]jose.JSONWebKey, error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	k, err := makeKey(r.algorithm)
	if err != nil {
		return nil, err
	}
	temporary, err := writeKeys(r.dir, []jose.JSONWebKey{k})
	if err != nil {
		return nil, err
	}
	defer os.Remove(temporary)
	// A link is made whole or not at all, and never over a file that is there.
	if err := os.Link(temporary, filepath.Join(r.dir, keyFile)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readKeys(r.dir)
}

// rotate makes a new key that signs from now on. The old ones still verify.
func (r *keyring) rotate() error {
	k, err := makeKey(r.algorithm)
	if err != nil {
		return err
	}
	keys := append([]jose.JSONWebKey{k}, r.all()...)
	keys = keys[:min(len(keys), maxKeysHeld)]
	if r.dir != "" {
		temporary, err := writeKeys(r.dir, keys)
		if err != nil {
			return err
		}
		defer os.Remove(temporary) // fails once it is renamed
		if err := os.Rename(temporary, filepath.Join(r.dir, keyFile)); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return nil
}

func (r *keyring) all() []jose.JSONWebKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys
}

func (r *keyring) signing() jose.JSONWebKey { return r.all()[0] }

func (r *keyring) public() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range r.all() {
		set.Keys = append(set.Keys, k.Public())
	}
	return set
}

// writeKeys writes a complete temporary file beside the key file.
func writeKeys(dir string, keys []jose.JSONWebKey) (name string, err error) {
	doc, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: keys}, "", "  ")
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(append(doc, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func readKeys(dir string) ([]jose.JSONWebKey, error) {
	name := filepath.Join(dir, keyFile)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s: mode %#o lets others read the private keys: want 0600", name, mode)
	}
	doc, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(doc) > maxKeyFile {
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxKeyFile)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(doc, &set); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("%s: no keys: remove the file to have it made anew", name)
	}
	for _, k := range set.Keys {
		if k.IsPublic() || k.KeyID == "" || !fits(k) {
			return nil, fmt.Errorf("%s: key %q: want a private key with kid, for one of %q", name, k.KeyID, algorithms)
		}
	}
	return set.Keys, nil
}

// fits reports whether a private key is of the type that its algorithm needs.
func fits(k jose.JSONWebKey) bool {
	switch private := k.Key.(type) {
	case *rsa.PrivateKey:
		return k.Algorithm == "RS256" || k.Algorithm == "PS256"
	case *ecdsa.PrivateKey:
		return k.Algorithm == "ES256" && private.Curve == elliptic.P256()
	case ed25519.PrivateKey:
		return k.Algorithm == "EdDSA"
	}
	return false
}

// makeKey makes a key pair whose kid is its thumbprint (RFC 7638).
func makeKey(algorithm string) (jose.JSONWebKey, error) {
	k := jose.JSONWebKey{Algorithm: algorithm, Use: "sig"}
	var err error
	switch algorithm {
	case "ES256":
		k.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.Key, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return k, err
	}
	thumb, err := k.Thumbprint(crypto.SHA256)
	k.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	return k, err
}

// Rotate makes a new signing key. Tokens signed with the last three old ones are
// still good. It is not for two callers at once.
func (i *Issuer) Rotate() error { return i.keys.rotate() }

// PublicKeys returns the keys that verify the issuer's tokens, as it publishes
// them.
func (i *Issuer) PublicKeys() jose.JSONWebKeySet { return i.keys.public() }
