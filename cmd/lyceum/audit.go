package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/audit"
)

type auditCmd struct {
	Verify verifyAuditCmd `cmd:"" help:"Check the chain and the signatures: status 0 is intact, 1 is not, 2 is that it could not be read."`
	Query  queryAuditCmd  `cmd:"" help:"Print matching records, one JSON object a line."`
	Head   headAuditCmd   `cmd:"" help:"Print where the log stands, to keep it elsewhere."`
	Key    keyAuditCmd    `cmd:"" help:"Print the public key that verifies the log."`
}

// statusError ends the process with a status of its own.
type statusError struct {
	error
	status int
}

func (e statusError) Unwrap() error { return e.error }

// unable is the status of a log that could not be judged.
const unable = 2

type verifyAuditCmd struct {
	Path   []string `arg:"" help:"Directory of a log, or files that follow each other." placeholder:"DIR|FILE"`
	Key    string   `help:"Public keys in PEM; without it audit.pub beside the log, which whoever can write the log can replace." placeholder:"FILE"`
	Head   string   `help:"Hash of a record that must be in the log, or @FILE with what audit head printed." placeholder:"HASH"`
	Sealed bool     `help:"Ask that the last record be signed, as after an orderly stop."`
	JSON   bool     `help:"Print the whole report as JSON."`
	Most   int      `help:"Problems that are listed (${default})." default:"100" placeholder:"N"`
}

func (c *verifyAuditCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	report, err := c.verify(ctx)
	if err != nil {
		return statusError{fmt.Errorf("verify the audit log: %w", err), unable}
	}
	if err := c.print(p, &report); err != nil {
		return statusError{err, unable}
	}
	if !report.OK {
		return errSaid
	}
	return nil
}

func (c *verifyAuditCmd) verify(ctx context.Context) (audit.Report, error) {
	info, err := os.Stat(c.Path[0])
	if err != nil {
		return audit.Report{}, err
	}
	if info.IsDir() && len(c.Path) > 1 {
		return audit.Report{}, errors.New("give one directory, or files")
	}
	dir := c.Path[0]
	if !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	opts := audit.VerifyOptions{Sealed: c.Sealed, MaxProblems: c.Most}
	if opts.Keys, err = c.keys(dir); err != nil {
		return audit.Report{}, err
	}
	if opts.Head, err = c.head(); err != nil {
		return audit.Report{}, err
	}
	if info.IsDir() {
		return audit.VerifyDir(ctx, dir, opts)
	}
	return audit.VerifyFiles(ctx, c.Path, opts)
}

func (c *verifyAuditCmd) keys(dir string) ([]ed25519.PublicKey, error) {
	path := c.Key
	if path == "" {
		path = filepath.Join(dir, audit.PublicFile)
	}
	text, err := os.ReadFile(path)
	if c.Key == "" && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys, err := audit.ParsePublicKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func (c *verifyAuditCmd) head() (string, error) {
	hash := c.Head
	if path, isFile := strings.CutPrefix(hash, "@"); isFile {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		var h audit.Head
		if err := json.Unmarshal(text, &h); err != nil {
			return "", fmt.Errorf("%s is not what audit head prints: %w", path, err)
		}
		hash = h.Hash
	}
	if c.Head != "" && (len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "") {
		return "", fmt.Errorf("the head %.80q is not 64 hexadecimal digits", hash)
	}
	return hash, nil
}

func (c *verifyAuditCmd) print(p process, r *audit.Report) error {
	if c.JSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	var b strings.Builder
	for _, problem := range r.Problems {
		fmt.Fprintln(&b, problem)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", r.More)
	}
	verdict := "intact"
	if !r.OK {
		verdict = "NOT INTACT"
	}
	fmt.Fprintf(&b, "%s: %d records (%d to %d) in %d files, head %s\n", verdict, r.Records, r.First, r.Last, r.Files, r.Head)
	switch {
	case !r.KeysGiven:
		fmt.Fprintln(&b, "signatures: not verified, for want of a public key (--key)")
	case c.Key == "":
		fmt.Fprintf(&b, "signatures: %d good, up to record %d, by the key beside the log; %d records after it\n", r.Signatures, r.LastSigned, r.Unsigned)
	default:
		fmt.Fprintf(&b, "signatures: %d good, up to record %d; %d records after it\n", r.Signatures, r.LastSigned, r.Unsigned)
	}
	if c.Head == "" {
		fmt.Fprintln(&b, "end: not checked, for want of a head that was kept elsewhere (--head)")
	}
	if r.Gaps > 0 || r.Recovered > 0 {
		fmt.Fprintf(&b, "gaps: %d, with %d records lost and %d calls refused; %d times half a line was cut off\n", r.Gaps, r.Lost, r.Refused, r.Recovered)
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

type queryAuditCmd struct {
	Dir       string `arg:"" help:"Directory of the log."`
	Since     string `help:"From this time on (RFC 3339), or this long ago (90m)." placeholder:"TIME"`
	Until     string `help:"Before this time, or this long ago." placeholder:"TIME"`
	Kind      string `help:"call, auth_failure, denied, limited, session, admin, …" placeholder:"KIND"`
	Tenant    string `placeholder:"NAME"`
	Subject   string `placeholder:"NAME"`
	Client    string `help:"Client id." placeholder:"ID"`
	Operation string `placeholder:"NAME"`
	Session   string `help:"Hash of a session, or its handle, if the private key can be read." placeholder:"ID"`
	Decision  string `help:"allow or deny." placeholder:"WORD"`
	Code      string `placeholder:"CODE"`
	Outcome   string `help:"ok or a kind of failure." placeholder:"WORD"`
	Request   string `help:"Request id." placeholder:"ID"`
	Trace     string `help:"Trace id." placeholder:"ID"`
	Limit     int    `help:"Only the newest N (at most 10000); 0 is all (${default})." default:"0" placeholder:"N"`
	KeyFile   string `help:"Private key, to hash a session's handle; default audit.key in the directory or the one above." placeholder:"FILE"`
}

func (c *queryAuditCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	f := audit.Filter{
		Kind: audit.Kind(c.Kind), Tenant: c.Tenant, Subject: c.Subject, ClientID: c.Client, Operation: c.Operation,
		Decision: c.Decision, Code: c.Code, Outcome: c.Outcome, RequestID: c.Request, TraceID: c.Trace, Limit: c.Limit,
	}
	if c.Limit < 0 || c.Limit > audit.MaxLimit {
		return fmt.Errorf("--limit is %d: want 0 to %d", c.Limit, audit.MaxLimit)
	}
	var err error
	if f.Since, err = moment("--since", c.Since); err != nil {
		return err
	}
	if f.Until, err = moment("--until", c.Until); err != nil {
		return err
	}
	if f.Session, err = c.session(); err != nil {
		return err
	}
	for e, err := range audit.Query(ctx, c.Dir, f) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(p.stdout, "%s\n", e.Line); err != nil {
			return err
		}
	}
	return nil
}

// session returns the hash to look for.
func (c *queryAuditCmd) session() (string, error) {
	if !strings.HasPrefix(c.Session, "rs_") {
		return c.Session, nil
	}
	paths := []string{c.KeyFile}
	if c.KeyFile == "" {
		paths = []string{filepath.Join(c.Dir, audit.KeyFile), filepath.Join(filepath.Dir(filepath.Clean(c.Dir)), audit.KeyFile)}
	}
	var failed error
	for _, path := range paths {
		key, err := audit.ReadKey(path)
		if err == nil {
			return key.SessionHash(c.Session), nil
		}
		failed = errors.Join(failed, err)
	}
	return "", fmt.Errorf("a handle is found by its hash, which needs the private key (--key-file): %w", failed)
}

// moment reads a time, or a duration before now.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is %.40q: want a time such as 2026-07-28T09:00:00Z, a day, or a duration such as 90m", flag, text)
}

type headAuditCmd struct {
	Dir string `arg:"" help:"Directory of the log."`
}

func (c *headAuditCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	head, err := audit.ReadHead(ctx, c.Dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(p.stdout).Encode(head)
}

type keyAuditCmd struct {
	Data    string `help:"Data directory (default lyceum-data); the key is audit.key in it, and made if it is not there." placeholder:"DIR" env:"LYCEUM_DATA"`
	KeyFile string `help:"Private key elsewhere, as the setting audit.key_file." env:"LYCEUM_AUDIT_KEY_FILE" placeholder:"FILE"`
}

func (c *keyAuditCmd) run(_ context.Context, p process, _ map[string][]string) error {
	path := c.KeyFile
	if path == "" {
		path = filepath.Join(dataOr(c.Data), audit.KeyFile)
	}
	key, err := audit.OpenKey(path)
	if err != nil {
		return err
	}
	text, err := key.PublicPEM()
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(text)
	return err
}
