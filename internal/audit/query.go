package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Filter says which records to find. An empty field matches every record.
type Filter struct {
	Since, Until time.Time // Since inclusive, Until exclusive

	Kind      Kind
	Tenant    string
	Subject   string
	ClientID  string
	Operation string
	Session   string // its hash; for a Log and for Memory also a handle
	Decision  string
	Code      string
	Outcome   string
	RequestID string
	TraceID   string

	// Limit keeps only the newest, at most MaxLimit; 0 finds all.
	Limit int
}

// MaxLimit is the most records that a limit may keep: they are held in memory.
const MaxLimit = 10_000

// matcher finds a filter's records by the bytes of their lines: values are
// written in one way only, so nothing need be decoded to pass over a line.
type matcher struct {
	since, until string
	needles      [][]byte
}

func (f *Filter) matcher() matcher {
	var m matcher
	if !f.Since.IsZero() {
		m.since = f.Since.UTC().Format(timeLayout)
	}
	if !f.Until.IsZero() {
		m.until = f.Until.UTC().Format(timeLayout)
	}
	need := func(name, value string, most int) {
		if value != "" {
			m.needles = append(m.needles, appendText(nil, name, value, most))
		}
	}
	need("kind", string(f.Kind), maxKind)
	need("tenant", f.Tenant, maxName)
	need("subject", f.Subject, maxSubject)
	need("client", f.ClientID, maxName)
	need("operation", f.Operation, maxName)
	need("session", f.Session, maxHandle)
	need("decision", f.Decision, maxKind)
	need("code", f.Code, maxName)
	need("outcome", f.Outcome, maxName)
	need("request", f.RequestID, maxHandle)
	need("trace", f.TraceID, maxHandle)
	return m
}

// match reports whether a line that parseLine accepts is wanted.
func (m *matcher) match(text []byte) bool {
	_, rest, ok := bytes.Cut(text, []byte(`,"time":"`))
	if !ok || len(rest) < len(timeLayout) {
		return false
	}
	at := string(rest[:len(timeLayout)])
	if m.since != "" && at < m.since || m.until != "" && at >= m.until {
		return false
	}
	// Arguments are the caller's: what they contain are no members of the record.
	head, _, _ := bytes.Cut(rest, []byte(`,"args":"`))
	for _, n := range m.needles {
		if !bytes.Contains(head, n) {
			return false
		}
	}
	return true
}

// sessionHash returns what stands in the log for session, which may be that
// already.
func sessionHash(key *Key, session string) string {
	if session == "" || len(session) == 32 && isHex([]byte(session)) {
		return session
	}
	return key.SessionHash(session)
}

// Query yields the records of the log in dir that match, oldest first; it may be
// written meanwhile. Lines that cannot be read are passed over: that is for
// Verify to report. Files that ended before Since are not read.
func Query(ctx context.Context, dir string, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		all, err := Segments(dir)
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("there is no audit log in %s: %w", dir, os.ErrNotExist)
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		newest(f.Limit, matching(ctx, after(all, f.Since), f.matcher()))(yield)
	}
}

// clockSlack is how far the clock may have been set back.
const clockSlack = time.Minute

// after leaves out files that ended before since: those followed by a file that
// began before it.
func after(all []Segment, since time.Time) []Segment {
	for !since.IsZero() && len(all) > 1 {
		begun, err := firstTime(all[1].Path)
		if err != nil || !begun.Before(since.Add(-clockSlack)) {
			break
		}
		all = all[1:]
	}
	return all
}

func firstTime(path string) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	text, _, err := newLineReader(f).next()
	if err != nil {
		return time.Time{}, err
	}
	e, err := ParseEntry(text)
	return e.Time, err
}

func matching(ctx context.Context, files []Segment, m matcher) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, s := range files {
			if !matchFile(ctx, s.Path, m, yield) {
				return
			}
		}
	}
}

// matchFile reports whether to go on.
func matchFile(ctx context.Context, path string, m matcher, yield func(Entry, error) bool) bool {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) { // deleted since the files were listed
		return true
	}
	if err != nil {
		yield(Entry{}, fmt.Errorf("read the audit log: %w", err))
		return false
	}
	defer f.Close()
	for lines := newLineReader(f); ; {
		text, state, err := lines.next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if lines.number%everyLines == 0 && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield(Entry{}, fmt.Errorf("read %s: %w", path, err))
			return false
		}
		if state != lineWhole || !m.match(text) {
			continue
		}
		e, err := ParseEntry(bytes.Clone(text))
		if err != nil {
			continue
		}
		e.FileName, e.LineNumber, e.OffsetInFile = filepath.Base(path), lines.number, lines.start
		if !yield(e, nil) {
			return false
		}
	}
}

// newest keeps the last limit entries; 0 passes all on as they come.
func newest(limit int, all iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	if limit <= 0 {
		return all
	}
	limit = min(limit, MaxLimit)
	return func(yield func(Entry, error) bool) {
		var ring []Entry
		n := 0
		for e, err := range all {
			switch {
			case err != nil:
				yield(e, err)
				return
			case len(ring) < limit:
				ring = append(ring, e)
			default:
				ring[n%limit] = e
			}
			n++
		}
		for i := range ring {
			if !yield(ring[(n+i)%len(ring)], nil) {
				return
			}
		}
	}
}
