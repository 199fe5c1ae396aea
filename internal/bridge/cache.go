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
	ClientID     string           `json:"client_id"`
	ClientSecret string           `json:"client_secret,omitempty"`
	AuthStyle    oauth2.AuthStyle `json:"auth_style"`
	Scopes       []string         `json:"scopes"`
	AccessToken  string           `json:"access_token"`
	RefreshToken string           `json:"refresh_token,omitempty"`
	Expires      time.Time        `json:"expires,omitzero"`
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

// cache keeps the login of one URL in a file that only its owner can read.
type cache struct{ path string }

// newCache returns the cache of one endpoint below the user's cache directory.
func newCache(dir, url string) (cache, error) {
	if dir == "" {
		return cache{}, errors.New("no directory to keep the login in")
	}
	dir = filepath.Join(dir, "lyceum", "login")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cache{}, fmt.Errorf("keep the login: %w", err)
	}
	sum := sha256.Sum256([]byte(url))
	return cache{path: filepath.Join(dir, hex.EncodeToString(sum[:16])+".json")}, nil
}

func (c cache) lockPath() string { return c.path + ".lock" }

// read returns the login, nil if there is none. What others could have read is
// not used: an error says so.
func (c cache) read() (*entry, error) {
	info, err := os.Stat(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("%s: mode %#o lets others read the login: want 0600", c.path, info.Mode().Perm())
	case info.Size() > maxEntry:
		return nil, fmt.Errorf("%s: more than %d bytes", c.path, maxEntry)
	}
	text, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := &entry{}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	return e, nil
}

// write replaces the login as a whole: a reader sees the old one or the new one.
func (c cache) write(e *entry) error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), ".login-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// remove forgets the login and reports whether there was one.
func (c cache) remove() (bool, error) {
	err := os.Remove(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
