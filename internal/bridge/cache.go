package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/oauth2"
)

// entry is one login as it is kept between processes.
type entry struct {
	URL          string           `json:"url"` // of the MCP endpoint
	Resource     string           `json:"resource"`
	Issuer       string           `json:"issuer"`
	TokenURL     string           `json:"token_endpoint"`
	RevokeURL    string           `json:"revocation_endpoint,omitempty"`
	Configured   string           `json:"configured_client,omitempty"` // the client id that was given, if one was
	Machine      bool             `json:"machine,omitempty"`           // it is the client's own: nobody logged in
	ClientID     string           `json:"client_id"`
	ClientSecret string           `json:"client_secret,omitempty"`
	AuthStyle    oauth2.AuthStyle `json:"auth_style"`
	Scopes       []string         `json:"scopes"`
	AccessToken  string           `json:"access_token"`
	RefreshToken string           `json:"refresh_token,omitempty"`
	Expires      time.Time        `json:"expires,omitzero"`

	refreshed bool // by this process, so that it may be as useless as the one before
}

// expiryMargin is how long before its end a token is not used any more.
const expiryMargin = 10 * time.Second

// valid reports whether the access token can be tried.
func (e *entry) valid() bool {
	return e != nil && e.AccessToken != "" && (e.Expires.IsZero() || time.Until(e.Expires) > expiryMargin)
}

// covers reports whether every scope of need was granted.
func (e *entry) covers(need []string) bool {
	return !slices.ContainsFunc(need, func(s string) bool { return !slices.Contains(e.Scopes, s) })
}

func (e *entry) client() *oauth2.Config {
	return &oauth2.Config{ClientID: e.ClientID, ClientSecret: e.ClientSecret, Endpoint: oauth2.Endpoint{TokenURL: e.TokenURL, AuthStyle: e.AuthStyle}}
}

// maxEntry bounds what is read of a cache file, in bytes.
const maxEntry = 256 << 10

// cache keeps the login of one URL, and the client that it was made with, in files
// that only their owner can read.
type cache struct{ dir, name string }

// newCache returns the cache of one endpoint below the user's cache directory.
func newCache(dir, url string) (cache, error) {
	if dir == "" {
		return cache{}, errors.New("no directory to keep the login in")
	}
	dir = filepath.Join(dir, "lyceum")
	for _, sub := range []string{"login", "client"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return cache{}, fmt.Errorf("keep the login: %w", err)
		}
	}
	sum := sha256.Sum256([]byte(url))
	return cache{dir: dir, name: hex.EncodeToString(sum[:16]) + ".json"}, nil
}

func (c cache) path() string       { return filepath.Join(c.dir, "login", c.name) }
func (c cache) clientPath() string { return filepath.Join(c.dir, "client", c.name) }
func (c cache) lockPath() string   { return c.path() + ".lock" }

// read returns the login, nil if there is none.
func (c cache) read() (*entry, error) {
	e := &entry{}
	if found, err := readPrivate(c.path(), e); err != nil || !found {
		return nil, err
	}
	return e, nil
}

func (c cache) write(e *entry) error { return writePrivate(c.path(), e) }

// remove forgets the login and its client, and reports whether there was a login.
func (c cache) remove() (bool, error) {
	_, err := removeFile(c.clientPath())
	found, errLogin := removeFile(c.path())
	return found, errors.Join(err, errLogin)
}

// readPrivate reads a JSON file and reports whether there is one. What others could
// have read is not used: an error says so.
func readPrivate(path string, into any) (found bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return false, fmt.Errorf("%s: mode %#o lets others read the login: want 0600", path, info.Mode().Perm())
	case info.Size() > maxEntry:
		return false, fmt.Errorf("%s: more than %d bytes", path, maxEntry)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// writePrivate replaces a JSON file as a whole: a reader sees the old one or the new
// one.
func writePrivate(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".login-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// removeFile removes a file and reports whether there was one.
func removeFile(path string) (bool, error) {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
