package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// timeLayout is RFC 3339 with all nine digits, so that lines sort by time.
const (
	timeLayout = "2006-01-02T15:04:05.000000000Z"
	lineStart  = `{"v":1,"seq":`
	prevStart  = `,"prev":"`
	sigStart   = `,"sig":"`
	hashStart  = `,"hash":"`
	hashLen    = 2 * sha256.Size
	lineEnd    = `"}`
)

// encoder writes the part of a line that its caller knows: from time to reason.
type encoder struct {
	key         *Key
	arguments   Arguments
	noAddresses bool
}

// record appends r. It costs about a microsecond, plus the canonical form of
// the arguments.
func (e *encoder) record(b []byte, r *Record) []byte {
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	b = appendTime(b, at)
	b = appendText(b, "kind", string(r.Kind), maxKind)
	b = appendText(b, "action", r.Action, maxName)
	b = appendText(b, "tenant", r.Tenant, maxName)
	b = appendText(b, "issuer", r.Issuer, maxSubject)
	b = appendText(b, "subject", r.Subject, maxSubject)
	b = appendText(b, "client", r.ClientID, maxName)
	if !e.noAddresses {
		b = appendText(b, "address", r.Address, maxHandle)
	}
	b = appendText(b, "operation", r.Operation, maxName)
	if r.Session != "" {
		b = append(b, `,"session":"`...)
		b = e.key.appendSession(b, r.Session)
		b = append(b, '"')
	}
	b = appendText(b, "decision", r.Decision, maxKind)
	b = appendText(b, "code", r.Code, maxName)
	b = appendText(b, "outcome", r.Outcome, maxName)
	b = appendMicros(b, "duration_us", r.Duration)
	b = appendMicros(b, "cpu_us", r.CPU)
	b = appendText(b, "trace", r.TraceID, maxHandle)
	b = appendText(b, "request", r.RequestID, maxHandle)
	b = e.appendArguments(b, r)
	return appendText(b, "reason", r.Reason, maxReason)
}

func (e *encoder) appendArguments(b []byte, r *Record) []byte {
	if e.arguments == NoArguments || len(r.Arguments) == 0 && r.Digest == "" {
		return b
	}
	if r.Digest != "" && e.arguments != FullArguments {
		return appendText(b, "args", r.Digest, maxHandle)
	}
	scratch := scratches.Get().(*[]byte)
	defer putScratch(scratch)
	text, ok := canonical((*scratch)[:0], r.Arguments)
	*scratch = text
	switch {
	case r.Digest != "":
		b = appendText(b, "args", r.Digest, maxHandle)
	case ok:
		b = appendDigest(b, text)
	default:
		b = appendDigest(b, r.Arguments)
	}
	if !ok {
		return appendNumber(b, "args_bytes", uint64(len(r.Arguments)))
	}
	b = appendNumber(b, "args_bytes", uint64(len(text)))
	if e.arguments == FullArguments && len(text) <= maxArguments {
		b = append(b, `,"arguments":`...)
		b = append(b, text...)
	}
	return b
}

func appendDigest(b, text []byte) []byte {
	sum := sha256.Sum256(text)
	b = append(b, `,"args":"sha256:`...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, '"')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, `,"time":"`...)
	b = t.UTC().AppendFormat(b, timeLayout)
	return append(b, '"')
}

func appendMicros(b []byte, name string, d time.Duration) []byte {
	if d <= 0 {
		return b
	}
	return appendNumber(b, name, uint64(d.Microseconds()))
}

func appendNumber(b []byte, name string, n uint64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendUint(b, n, 10)
}

// appendText appends a member unless text is empty. A text of more than most
// bytes is cut between characters and ends with its length.
func appendText(b []byte, name, text string, most int) []byte {
	if text == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':', '"')
	if len(text) > most {
		cut := most
		for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		b = appendEscaped(b, text[:cut])
		b = append(b, "…("...)
		b = strconv.AppendInt(b, int64(len(text)), 10)
		b = append(b, " bytes)"...)
	} else {
		b = appendEscaped(b, text)
	}
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends the inside of a JSON string. What does not print
// (control characters, marks that turn the direction of text) is escaped, so
// that a line shown on a terminal is what it says.
func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			if c == '"' || c == '\\' {
				b = append(b, '\\', c)
			} else {
				b = appendUnit(b, uint16(c))
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsPrint(r) && (r != utf8.RuneError || n != 1) {
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		if r >= 0x10000 {
			high, low := utf16.EncodeRune(r)
			b = appendUnit(appendUnit(b, uint16(high)), uint16(low))
		} else {
			b = appendUnit(b, uint16(r))
		}
		i += n
		start = i
	}
	return append(b, s[start:]...)
}

func appendUnit(b []byte, u uint16) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
