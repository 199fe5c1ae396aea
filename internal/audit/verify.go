package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

var zeroHash = strings.Repeat("0", hashLen)

// everyLines is how often the context is looked at.
const everyLines = 1024

// Verify reads one file of a log, which need not be its first. Its memory does
// not grow with the file. The error is one of reading or of ctx; what is wrong
// with the log is in the report.
func Verify(ctx context.Context, r io.Reader, name string, opts VerifyOptions) (Report, error) {
	c := newChecker(opts)
	c.ctx = ctx
	if err := c.file(name, r, true); err != nil {
		return Report{}, err
	}
	return c.finish(), nil
}

// VerifyFiles reads files that follow each other, oldest first.
func VerifyFiles(ctx context.Context, paths []string, opts VerifyOptions) (Report, error) {
	c := newChecker(opts)
	c.ctx = ctx
	for i, path := range paths {
		if _, err := c.path(path, i == len(paths)-1); err != nil {
			return Report{}, err
		}
	}
	return c.finish(), nil
}

// VerifyDir reads the whole log in dir, and also asks that older files that are
// not there were deleted by the log itself. It may be written meanwhile.
func VerifyDir(ctx context.Context, dir string, opts VerifyOptions) (Report, error) {
	c := newChecker(opts)
	c.ctx = ctx
	c.rep.InUse = inUse(dir)
	all, err := Segments(dir)
	if err != nil {
		return Report{}, err
	}
	if len(all) == 0 {
		return Report{}, fmt.Errorf("there is no audit log in %s: %w", dir, os.ErrNotExist)
	}
	for i, s := range all {
		if _, err := c.path(s.Path, i == len(all)-1); err != nil {
			return Report{}, err
		}
	}
	if c.started && c.rep.First > 1 && !c.retired {
		c.problem(Problem{Code: ProblemFiles, File: all[0].Path, Seq: c.rep.First, Detail: fmt.Sprintf(
			"the log begins with record %d, and no record says that what was before it was deleted", c.rep.First)})
	}
	return c.finish(), nil
}

// checker follows a chain line by line.
type checker struct {
	ctx  context.Context
	opts VerifyOptions
	keys map[string]ed25519.PublicKey
	rep  Report

	started   bool
	resync    bool   // the line before could not be read: its hash is not known
	seq       uint64 // of the line before
	prev      string // its hash, as it stands there
	time      [len(timeLayout)]byte
	unsigned  uint64
	every     uint64 // as the last first line says; 0 is not known
	key       string // that signed it
	begun     time.Time
	firstPrev string
	retired   bool

	where Problem // the line being read
	end   int64   // of the last whole line of the file
}

func newChecker(opts VerifyOptions) *checker {
	if opts.MaxProblems <= 0 {
		opts.MaxProblems = 100
	}
	c := &checker{ctx: context.Background(), opts: opts, keys: map[string]ed25519.PublicKey{}}
	for _, k := range opts.Keys {
		c.keys[KeyID(k)] = k
	}
	c.rep.KeysGiven = len(c.keys) > 0
	c.rep.Problems = []Problem{}
	return c
}

func (c *checker) problem(p Problem) {
	if len(c.rep.Problems) < c.opts.MaxProblems {
		c.rep.Problems = append(c.rep.Problems, p)
	} else {
		c.rep.More++
	}
}

// found reports what is wrong with the present line.
func (c *checker) found(code, format string, args ...any) {
	p := c.where
	p.Code, p.Detail = code, fmt.Sprintf(format, args...)
	c.problem(p)
}

// damage returns the first problem that is more than half a line at the end or
// damage that a file's first line tells of; nil without one.
func (c *checker) damage() *Problem {
	for i := range c.rep.Problems {
		if p := &c.rep.Problems[i]; p.Code != ProblemTorn && p.Code != ProblemBroken {
			return p
		}
	}
	return nil
}

func (c *checker) path(path string, last bool) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read the audit log: %w", err)
	}
	defer f.Close()
	before := c.rep.Bytes
	err = c.file(path, f, last)
	return c.rep.Bytes - before, err
}

// file reads the next file of the chain.
func (c *checker) file(name string, r io.Reader, last bool) error {
	lines := newLineReader(r)
	c.end = 0
	c.rep.Files++
	for {
		text, state, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if lines.number%everyLines == 0 && c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		c.rep.Bytes += lines.end - lines.start
		c.where = Problem{File: name, Line: lines.number, Offset: lines.start}
		switch state {
		case lineTorn:
			if !last || !c.rep.InUse {
				c.found(ProblemTorn, "the file ends within a line, after %d bytes of it", len(text))
			}
			c.resync = true
			return nil
		case lineTooLong:
			c.found(ProblemTooLong, "the line has %d bytes", lines.end-lines.start)
			c.skip()
		case lineWhole:
			l, err := parseLine(text)
			if err != nil {
				c.found(ProblemFormat, "%v", err)
				c.skip()
				break
			}
			c.where.Seq = l.seq
			c.line(&l, text, lines.number == 1)
		}
		c.end = lines.end
	}
}

// skip passes over a line that cannot be read.
func (c *checker) skip() {
	c.seq++
	c.resync = true
	c.unsigned++
}

// line checks a line and its place in the chain.
func (c *checker) line(l *line, text []byte, first bool) {
	if !l.intact() {
		c.found(ProblemHash, "the line was changed: its bytes do not have the hash that it says")
	} else if !json.Valid(text) {
		c.found(ProblemFormat, "%v", errJSON)
	}
	if begins := l.kind == Chain || l.kind == Broken; begins != first {
		c.found(ProblemHeader, "a file begins with a record of kind chain or broken, and has one only there: this is %q", string(l.kind))
	}
	c.place(l)
	c.rep.Records++
	c.started, c.resync = true, false
	c.seq, c.prev = l.seq, string(l.hash)
	copy(c.time[:], l.time)
	if c.prev == c.opts.Head {
		c.rep.HeadFound = true
	}
	c.content(l, text)
}

// place checks what is before a line.
func (c *checker) place(l *line) {
	if !c.started {
		c.rep.First, c.firstPrev = l.seq, string(l.prev)
		if l.seq == 1 && c.firstPrev != zeroHash {
			c.found(ProblemLink, "the first record of a log follows nothing, and this one does")
		}
		if l.kind != Broken && !c.resync {
			return
		}
	}
	switch want := c.seq + 1; {
	case l.kind == Broken:
	case !c.started:
	case l.seq == want+1:
		c.found(ProblemMissing, "record %d is missing", want)
	case l.seq > want:
		c.found(ProblemMissing, "the records %d to %d are missing", want, l.seq-1)
	case l.seq < want:
		c.found(ProblemOrder, "record %d comes after record %d: it was moved, repeated or inserted", l.seq, c.seq)
	case !c.resync && string(l.prev) != c.prev:
		c.found(ProblemLink, "the record before is not the one that was before it when it was written")
	}
}

// content looks into the few kinds of line that say something about the log.
func (c *checker) content(l *line, text []byte) {
	var signs bool
	switch l.kind {
	case Chain, Broken, Checkpoint, Retention:
		signs = true
	case Gap, Recovered:
	default:
		c.count(l)
		return
	}
	e, err := ParseEntry(text)
	if err != nil { // said already
		c.count(l)
		return
	}
	switch l.kind {
	case Broken:
		c.found(ProblemBroken, "the server found the log damaged and began a new file: %s", e.Reason)
	case Gap:
		c.rep.Gaps++
		c.rep.Lost += e.Lost
		c.rep.Refused += e.Refused
	case Recovered:
		c.rep.Recovered++
	}
	if !signs {
		c.count(l)
		return
	}
	c.signature(l, &e)
}

// count counts a line that vouches for nothing.
func (c *checker) count(l *line) {
	if l.sig != nil {
		c.found(ProblemSignature, "a record of kind %q has no signature", string(l.kind))
	}
	c.unsigned++
	if c.every > 0 && c.unsigned == c.every+1 {
		c.found(ProblemUnsigned, "there are more than %d records without a signature", c.every)
	}
}

func (c *checker) signature(l *line, e *Entry) {
	if l.sig == nil {
		c.found(ProblemSignature, "a record of kind %q must be signed", string(l.kind))
		c.unsigned++
		return
	}
	if c.rep.KeysGiven {
		key, ok := c.keys[e.Key]
		if !ok {
			c.found(ProblemKey, "it is signed with the key %q, which was not given", e.Key)
			c.unsigned++
			return
		}
		if !verifySignature(key, l.signed, l.sig) {
			c.found(ProblemSignature, "the signature is not one of the key %s over this record", e.Key)
			c.unsigned++
			return
		}
	}
	c.rep.Signatures++
	if !slices.Contains(c.rep.KeyIDs, e.Key) && len(c.rep.KeyIDs) < 64 {
		c.rep.KeyIDs = append(c.rep.KeyIDs, e.Key)
	}
	c.unsigned = 0
	c.rep.LastSigned = l.seq
	switch l.kind {
	case Chain, Broken:
		c.every, c.key, c.begun = uint64(max(0, e.Every)), e.Key, e.Time
	case Retention:
		if e.After+1 == c.rep.First && e.AfterHash == c.firstPrev {
			c.retired = true
		}
	}
}

// finish checks what only the end shows.
func (c *checker) finish() Report {
	c.where = Problem{File: c.where.File, Line: c.where.Line, Offset: c.where.Offset, Seq: c.seq}
	c.rep.Last, c.rep.Head, c.rep.Unsigned = c.seq, c.prev, c.unsigned
	c.rep.LastTime, _ = time.Parse(timeLayout, string(c.time[:])) // parseLine has parsed it
	if c.opts.Head != "" && !c.rep.HeadFound {
		c.found(ProblemHead, "no record has the hash %.64s: the log was cut before it, or another was put in its place", c.opts.Head)
	}
	if c.opts.Sealed && c.unsigned > 0 {
		c.found(ProblemUnsigned, "the last %d records are not signed", c.unsigned)
	}
	c.rep.OK = len(c.rep.Problems) == 0
	return c.rep
}
