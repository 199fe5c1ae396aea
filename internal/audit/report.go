package audit

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// VerifyOptions say what a log is held against.
type VerifyOptions struct {
	// Keys are the public keys that signed. Without any, signatures are not
	// verified, and whoever can write the log can have made all of it.
	Keys []ed25519.PublicKey
	// Head is the hash of a line that must be there, in hexadecimal: what was the
	// last one when somebody looked. Empty asks for none.
	Head string
	// Sealed asks that the last line be signed, as in the log of a server that was
	// stopped in order.
	Sealed bool
	// MaxProblems bounds the problems that are listed; 0 is 100.
	MaxProblems int
}

// Codes of problems.
const (
	ProblemTorn      = "torn"      // the file ends within a line
	ProblemFormat    = "format"    // a line that is not ours
	ProblemTooLong   = "too_long"  // a line of more than 1 MiB
	ProblemHash      = "hash"      // the line's bytes are not those that were written
	ProblemLink      = "link"      // the line before is not the one that was before
	ProblemMissing   = "missing"   // numbers are left out
	ProblemOrder     = "order"     // a number comes again or too late
	ProblemHeader    = "header"    // a file's first line stands elsewhere, or is not there
	ProblemSignature = "signature" // not made with the key that it names, over these bytes
	ProblemKey       = "key"       // signed with a key that was not given
	ProblemUnsigned  = "unsigned"  // more lines without a signature than there may be
	ProblemBroken    = "broken"    // the server found damage and began a new file
	ProblemFiles     = "files"     // older files are missing and nothing says that they were deleted
	ProblemHead      = "head"      // the head is not in the log
)

// Problem is one thing that is wrong.
type Problem struct {
	Code   string `json:"code"`
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // from 1
	Offset int64  `json:"offset"`           // of the line, in bytes
	Seq    uint64 `json:"seq,omitempty"`    // as it stands in the line
	Detail string `json:"detail,omitempty"` // in words
}

// String returns the problem in one line.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s: %s", p.File, p.Code, p.Detail)
	}
	return fmt.Sprintf("%s:%d: byte %d: seq %d: %s: %s", p.File, p.Line, p.Offset, p.Seq, p.Code, p.Detail)
}

// Report is what Verify found.
type Report struct {
	OK      bool   `json:"ok"`
	Files   int    `json:"files"`
	Records uint64 `json:"records"` // lines that could be read
	Bytes   int64  `json:"bytes"`
	First   uint64 `json:"first"` // seq
	Last    uint64 `json:"last"`
	// Head is the hash of the last line, LastTime its time.
	Head     string    `json:"head"`
	LastTime time.Time `json:"last_time"`

	Signatures int      `json:"signatures"`
	KeysGiven  bool     `json:"signatures_verified"` // false: nobody checked them
	KeyIDs     []string `json:"key_ids"`             // that signed
	LastSigned uint64   `json:"last_signed"`         // seq; what is up to it cannot be forged without the key
	Unsigned   uint64   `json:"unsigned"`            // lines after it, which can
	HeadFound  bool     `json:"head_found"`
	Gaps       int      `json:"gaps"`    // gap records
	Lost       uint64   `json:"lost"`    // records that gaps tell of
	Refused    uint64   `json:"refused"` // calls that gaps tell of
	Recovered  int      `json:"recovered"`
	InUse      bool     `json:"in_use"` // a server writes it; half a line at its end is no problem

	Problems []Problem `json:"problems"`
	More     int       `json:"more_problems"` // beyond those listed
}
