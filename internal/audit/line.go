package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"
)

var sigLen = base64.StdEncoding.EncodedLen(ed25519.SignatureSize)

// line is a record's line taken apart, without decoding what the chain does not
// need. Its slices point into the line.
type line struct {
	hashed []byte // what hash is of
	signed []byte // what sig is of; nil without a signature
	seq    uint64
	time   []byte
	kind   Kind
	prev   []byte // hexadecimal
	hash   []byte // as it stands there, hexadecimal
	sig    []byte
}

var (
	errStart = errors.New(`it does not begin with {"v":1,"seq":N,"time":T,"kind":K`)
	errEnd   = errors.New(`it does not end with "prev" and "hash"`)
	errJSON  = errors.New("it is not JSON")
)

// parseLine takes a line without its end apart. Whether the hashes are right is
// another question.
func parseLine(b []byte) (line, error) {
	var l line
	if len(b) < len(hashStart)+hashLen+len(lineEnd) {
		return l, errStart
	}
	cut := len(b) - len(hashStart) - hashLen - len(lineEnd)
	tail := b[cut:]
	l.hashed = b[:cut]
	l.hash = tail[len(hashStart) : len(hashStart)+hashLen]
	if !bytes.HasPrefix(tail, []byte(hashStart)) || !bytes.HasSuffix(tail, []byte(lineEnd)) || !isHex(l.hash) {
		return l, errEnd
	}
	body := l.hashed
	if at := len(body) - len(sigStart) - sigLen - 1; at > 0 && bytes.HasPrefix(body[at:], []byte(sigStart)) {
		sig, err := base64.StdEncoding.Strict().DecodeString(string(body[at+len(sigStart) : len(body)-1]))
		if err != nil || body[len(body)-1] != '"' {
			return l, errEnd
		}
		l.sig, l.signed, body = sig, body[:at], body[:at]
	}
	at := len(body) - len(prevStart) - hashLen - 1
	if at < 0 || !bytes.HasPrefix(body[at:], []byte(prevStart)) || body[len(body)-1] != '"' {
		return l, errEnd
	}
	l.prev = body[at+len(prevStart) : len(body)-1]
	if !isHex(l.prev) {
		return l, errEnd
	}
	return l, l.parseStart(body[:at])
}

// parseStart reads {"v":1,"seq":N,"time":"T","kind":"K".
func (l *line) parseStart(b []byte) error {
	b, ok := bytes.CutPrefix(b, []byte(lineStart))
	if !ok {
		return errStart
	}
	digits, rest, ok := bytes.Cut(b, []byte(`,"time":"`))
	if !ok || len(rest) < len(timeLayout) {
		return errStart
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || digits[0] == '0' || digits[0] == '+' {
		return errStart
	}
	l.seq, l.time = seq, rest[:len(timeLayout)]
	if _, err := time.Parse(timeLayout, string(rest[:len(timeLayout)])); err != nil {
		return errStart
	}
	rest, ok = bytes.CutPrefix(rest[len(timeLayout):], []byte(`","kind":"`))
	kind, _, ends := bytes.Cut(rest, []byte{'"'})
	if !ok || !ends || len(kind) == 0 {
		return errStart
	}
	l.kind = Kind(kind)
	return nil
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// intact reports whether hash is what the line's bytes come to.
func (l *line) intact() bool {
	sum := sha256.Sum256(l.hashed)
	var text [hashLen]byte
	hex.Encode(text[:], sum[:])
	return bytes.Equal(text[:], l.hash)
}

// wire is a line as JSON.
type wire struct {
	Seq       uint64          `json:"seq"`
	Time      time.Time       `json:"time"`
	Kind      Kind            `json:"kind"`
	Action    string          `json:"action"`
	Tenant    string          `json:"tenant"`
	Issuer    string          `json:"issuer"`
	Subject   string          `json:"subject"`
	Client    string          `json:"client"`
	Address   string          `json:"address"`
	Operation string          `json:"operation"`
	Session   string          `json:"session"`
	Decision  string          `json:"decision"`
	Code      string          `json:"code"`
	Outcome   string          `json:"outcome"`
	Duration  int64           `json:"duration_us"`
	CPU       int64           `json:"cpu_us"`
	Trace     string          `json:"trace"`
	Request   string          `json:"request"`
	Args      string          `json:"args"`
	ArgsBytes int             `json:"args_bytes"`
	Arguments json.RawMessage `json:"arguments"`
	Reason    string          `json:"reason"`

	File      int    `json:"file"`
	After     uint64 `json:"after"`
	AfterHash string `json:"after_hash"`
	Every     int    `json:"every"`
	Key       string `json:"key"`
	Lost      uint64 `json:"lost"`
	Refused   uint64 `json:"refused"`

	Prev string `json:"prev"`
	Sig  string `json:"sig"`
	Hash string `json:"hash"`
}

// ParseEntry decodes a line. It does not check the chain: see Verify.
func ParseEntry(text []byte) (Entry, error) {
	if _, err := parseLine(text); err != nil {
		return Entry{}, err
	}
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		return Entry{}, errJSON
	}
	return Entry{
		Record: Record{
			Time: w.Time, Kind: w.Kind, Action: w.Action, Tenant: w.Tenant, Issuer: w.Issuer, Subject: w.Subject, ClientID: w.Client,
			Address: w.Address, Operation: w.Operation, Session: w.Session, Decision: w.Decision, Code: w.Code, Outcome: w.Outcome,
			Duration: time.Duration(w.Duration) * time.Microsecond, CPU: time.Duration(w.CPU) * time.Microsecond,
			TraceID: w.Trace, RequestID: w.Request, Arguments: w.Arguments, Digest: w.Args, Reason: w.Reason,
		},
		Seq: w.Seq, ArgumentsBytes: w.ArgsBytes, File: w.File, After: w.After, AfterHash: w.AfterHash, Every: w.Every, Key: w.Key,
		Lost: w.Lost, Refused: w.Refused, Prev: w.Prev, Hash: w.Hash, Signed: w.Sig != "", Line: text,
	}, nil
}

// lineReader yields lines of bounded length.
type lineReader struct {
	r      *bufio.Reader
	buf    []byte
	number int   // of the line returned last, from 1
	start  int64 // its offset
	end    int64 // offset behind it and its end
}

func newLineReader(r io.Reader) *lineReader { return &lineReader{r: bufio.NewReaderSize(r, 64<<10)} }

// ways in which a line can be.
type lineState int

const (
	lineWhole   lineState = iota
	lineTorn              // the file ends within it
	lineTooLong           // its rest was passed over
)

// next returns a line without its end; it is good until the next call. After the
// last one it returns io.EOF.
func (l *lineReader) next() ([]byte, lineState, error) {
	l.buf = l.buf[:0]
	l.start = l.end
	l.number++
	state := lineWhole
	for {
		part, err := l.r.ReadSlice('\n')
		l.end += int64(len(part))
		if len(l.buf)+len(part) > maxLine {
			state = lineTooLong
		} else if state == lineWhole {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == nil && state == lineTooLong:
			return nil, state, nil
		case err == nil:
			return l.buf[:len(l.buf)-1], state, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && l.end > l.start:
			return l.buf, lineTorn, nil
		default:
			return nil, state, err
		}
	}
}
