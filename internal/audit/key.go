package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Names of the key files: the private one wherever Config.KeyFile says, the
// public one beside the log.
const (
	KeyFile    = "audit.key"
	PublicFile = "audit.pub"
)

// signDomain keeps a signature of a line from meaning anything elsewhere.
const signDomain = "lyceum audit log v1\x00"

const blockSize = 64 // of SHA-256

// Key signs checkpoints and hashes session handles.
type Key struct {
	private      ed25519.PrivateKey
	id           string
	inner, outer [blockSize]byte // padded keys of the HMAC of sessions
}

// GenerateKey returns a new key.
func GenerateKey() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an audit key: %w", err)
	}
	return newKey(private)
}

func newKey(private ed25519.PrivateKey) (*Key, error) {
	k := &Key{private: private}
	k.id = KeyID(k.Public())
	secret, err := hkdf.Key(sha256.New, private.Seed(), nil, "lyceum audit session", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of session hashes: %w", err)
	}
	copy(k.inner[:], secret)
	copy(k.outer[:], secret)
	for i := range blockSize {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k, nil
}

// Public returns the key that verifies.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// ID returns the key's name in signed records.
func (k *Key) ID() string { return k.id }

// KeyID names a public key: 16 hexadecimal digits of its SHA-256.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// SessionHash returns what stands in the log for a session's handle: 128 bits of
// an HMAC with a key of this log. Records of one session can be joined, and
// nobody who reads the log can use the handle or try guesses.
func (k *Key) SessionHash(handle string) string { return string(k.appendSession(nil, handle)) }

// appendSession computes the HMAC by hand because crypto/hmac allocates.
func (k *Key) appendSession(b []byte, handle string) []byte {
	var room [2 * blockSize]byte
	sum := sha256.Sum256(append(append(room[:0], k.inner[:]...), handle...))
	sum = sha256.Sum256(append(append(room[:0], k.outer[:]...), sum[:]...))
	return hex.AppendEncode(b, sum[:16])
}

func (k *Key) sign(line []byte) []byte {
	return ed25519.Sign(k.private, append([]byte(signDomain), line...))
}

func verifySignature(public ed25519.PublicKey, line, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(public, append([]byte(signDomain), line...), sig)
}

// PublicPEM returns the public key as PEM.
func (k *Key) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Headers: map[string]string{"Key-Id": k.id}, Bytes: der}), nil
}

// OpenKey reads a private key (PKCS #8 in PEM), or makes one that only its owner
// may read. A file that others may read is refused.
func OpenKey(path string) (*Key, error) {
	k, err := ReadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = GenerateKey(); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encode the audit key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the audit key: %w", err)
	}
	// A link does not replace: of two processes that make a key one wins, and
	// nobody reads half a key.
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("write the audit key: %w", err)
	}
	defer func() { _ = os.Remove(part.Name()) }()
	err = pem.Encode(part, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return nil, fmt.Errorf("write the audit key: %w", err)
	}
	switch err := os.Link(part.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return ReadKey(path)
	case err != nil:
		return nil, fmt.Errorf("write the audit key: %w", err)
	}
	return k, syncDir(filepath.Dir(path))
}

// ReadKey reads a private key.
func ReadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the audit key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the audit key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("the audit key %s has mode %#o: others may read it; want 0600", path, mode)
	}
	var text [4 << 10]byte
	n, err := f.Read(text[:])
	if err != nil {
		return nil, fmt.Errorf("read the audit key %s: %w", path, err)
	}
	block, _ := pem.Decode(text[:n])
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("the audit key %s is not a PEM block of type PRIVATE KEY", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the audit key %s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the audit key %s is a %T: want Ed25519", path, parsed)
	}
	return newKey(private)
}

// ParsePublicKeys reads the public keys of a PEM file, such as audit.pub.
func ParsePublicKeys(text []byte) ([]ed25519.PublicKey, error) {
	var all []ed25519.PublicKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("a PEM block of type %.40q: want PUBLIC KEY", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a public key: %w", err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("a public key is a %T: want Ed25519", parsed)
		}
		all = append(all, public)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no public key in PEM")
	}
	return all, nil
}

// publish adds the public key to the file beside the log. Keys that were used
// before stay there, so that old checkpoints can still be verified.
func (k *Key) publish(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the directory of the audit log: %w", err)
	}
	defer root.Close()
	old, err := root.ReadFile(PublicFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the public audit key: %w", err)
	}
	text, err := k.PublicPEM()
	if err != nil || bytes.Contains(old, text) {
		return err
	}
	const part = PublicFile + ".part"
	if err := root.WriteFile(part, append(old, text...), 0o600); err != nil {
		return fmt.Errorf("write the public audit key: %w", err)
	}
	if err := root.Rename(part, PublicFile); err != nil {
		return fmt.Errorf("write the public audit key: %w", err)
	}
	return nil
}

// syncDir makes the creation of a file durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
