package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/session/filestore"
)

// remote are the flags of commands that ask a running server.
type remote struct {
	URL   string `help:"Base URL of the server (http://127.0.0.1:8383)." placeholder:"URL" env:"LYCEUM_URL"`
	Token string `help:"Access token with the scope admin.write." placeholder:"TOKEN" env:"LYCEUM_TOKEN"`
}

const (
	defaultURL  = "http://127.0.0.1:8383"
	purgeLimit  = 5 * time.Minute
	problemMost = 64 << 10
)

// do sends a request to the REST interface and returns the answer if it is good.
func (r *remote) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	base := r.URL
	if base == "" {
		base = defaultURL
	}
	base = strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/mcp")
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, problemMost)) // the status says what counts
	var problem struct {
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(text, &problem)
	return nil, fmt.Errorf("%s%s answers %s: %s", base, path, resp.Status, problem.Detail)
}

type backupCmd struct {
	remote
	Data string `help:"Data directory of a server that does not run, instead of asking a running one." placeholder:"DIR"`
	storeKeys
	Out string `arg:"" help:"File to write; - is standard output." placeholder:"FILE"`
}

// storeKeys are the keys of an encrypted store.
type storeKeys struct {
	Key     string `help:"Key of an encrypted store, as the setting storage.key." env:"LYCEUM_STORAGE_KEY" placeholder:"KEY"`
	KeyFile string `help:"File with such keys, one a line." env:"LYCEUM_STORAGE_KEY_FILE" placeholder:"FILE"`
}

func (k *storeKeys) keys() ([]filestore.Key, error) {
	if k.KeyFile != "" {
		return filestore.ReadKeys(k.KeyFile)
	}
	return filestore.ParseKeys(k.Key)
}

// open opens the store of a server that does not run.
func (k *storeKeys) open(ctx context.Context, dir string) (*filestore.Store, error) {
	if _, err := os.Stat(filepath.Join(dir, "lyceum.db")); err != nil {
		return nil, fmt.Errorf("there is no store in %s: %w", dir, err)
	}
	keys, err := k.keys()
	if err != nil {
		return nil, err
	}
	return filestore.Open(ctx, filestore.Config{Dir: dir, Keys: keys, NoCompact: true})
}

// run copies the store. A file appears under its name only when it is whole.
func (c *backupCmd) run(ctx context.Context, p process, _ map[string][]string) (err error) {
	write := func(w io.Writer) error { return c.fetch(ctx, w) }
	if c.Data != "" {
		store, err := c.open(ctx, c.Data)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		write = func(w io.Writer) error { _, err := store.Backup(ctx, w); return err }
	}
	if c.Out == "-" {
		return write(p.stdout)
	}
	part, err := os.CreateTemp(filepath.Dir(c.Out), filepath.Base(c.Out)+".part-*")
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer func() { _ = os.Remove(part.Name()) }() // it is gone when all went well
	if err := errors.Join(write(part), part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Rename(part.Name(), c.Out); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	_, err = fmt.Fprintf(p.stderr, "lyceum: wrote %s\n", c.Out)
	return err
}

func (c *backupCmd) fetch(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "/api/v1/backup", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

type restoreCmd struct {
	remote
	Data  string `help:"Data directory to restore into (default lyceum-data); its server must not run." placeholder:"DIR" env:"LYCEUM_DATA"`
	Force bool   `help:"Replace a store that holds something; the old file is kept beside the new one."`
	Live  bool   `help:"Bring back, into the running server at --url, what it lacks; FILE is then the name of a file in the folder restore of its data directory."`
	In    string `arg:"" help:"Backup to read; - is standard input." placeholder:"FILE"`
}

// ask has a running server bring back what it lacks.
func (c *restoreCmd) ask(ctx context.Context, p process) error {
	body, err := json.Marshal(map[string]string{"file": c.In})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "/api/v1/restore", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(p.stdout, io.LimitReader(resp.Body, problemMost))
	return err
}

func (c *restoreCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	if c.Live {
		return c.ask(ctx, p)
	}
	c.Data = dataOr(c.Data)
	in := p.stdin
	if c.In != "-" {
		f, err := os.Open(c.In)
		if err != nil {
			return fmt.Errorf("read the backup: %w", err)
		}
		defer f.Close()
		in = f
	}
	if err := filestore.RestoreFile(ctx, in, c.Data, c.Force); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	_, err := fmt.Fprintf(p.stderr, "lyceum: restored into %s\n", c.Data)
	return err
}

type sessionsCmd struct {
	Purge purgeCmd `cmd:"" help:"Delete all that is kept of one subject: sessions, jobs, results."`
}

type purgeCmd struct {
	remote
	Tenant  string `help:"Tenant of the subject." required:"" placeholder:"NAME"`
	Subject string `help:"Whose data is deleted." required:"" placeholder:"NAME"`
	Issuer  string `help:"Who vouches for the subject; without it, whoever does." placeholder:"URL"`
}

func (c *purgeCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	ctx, cancel := context.WithTimeout(ctx, purgeLimit)
	defer cancel()
	request := map[string]string{"tenant": c.Tenant, "subject": c.Subject}
	if c.Issuer != "" {
		request["issuer"] = c.Issuer
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "/api/v1/purge", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(p.stdout, io.LimitReader(resp.Body, problemMost))
	return err
}

type storeCmd struct {
	Check checkStoreCmd `cmd:"" help:"Read every record of a store and list what is damaged."`
	Rekey rekeyCmd      `cmd:"" help:"Encrypt every record of a store with its first key."`
}

type checkStoreCmd struct {
	Data string `help:"Data directory (default lyceum-data); its server must not run." placeholder:"DIR" env:"LYCEUM_DATA"`
	storeKeys
}

func (c *checkStoreCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	store, err := c.open(ctx, dataOr(c.Data))
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	report, err := store.Check(ctx)
	if err != nil {
		return err
	}
	out, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "%s\n", out); err != nil {
		return err
	}
	if !report.Clean() {
		return errSaid
	}
	return nil
}

type rekeyCmd struct {
	Data string `help:"Data directory (default lyceum-data); its server must not run." placeholder:"DIR" env:"LYCEUM_DATA"`
	storeKeys
}

func (c *rekeyCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("rekey: give the new key first, then the old ones (--key or --key-file)")
	}
	store, err := filestore.Open(ctx, filestore.Config{Dir: dataOr(c.Data), Keys: keys, AllowPlain: true, NoCompact: true})
	if err != nil {
		return err
	}
	n, err := store.Rekey(ctx)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stderr, "lyceum: encrypted %d records with %v\n", n, keys[0])
	return err
}

func dataOr(dir string) string {
	if dir == "" {
		return config.Default().Data
	}
	return dir
}
