// Package ticket keeps the tickets of an ask/tell search: the right, for a
// while, to say something about some of its nodes, once.
//
// A Book is plain data that survives a JSON round trip. It knows the time only
// as an argument, and it belongs to whoever owns the search.
package ticket

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Bounds of a Book.
const (
	MaxOpen      = 256 // tickets handed out and not answered
	MaxAsk       = 64  // tickets of one request
	MaxTag       = 64  // bytes
	MaxSubjects  = 4096
	keptReceipts = 256 // answers that can be repeated
)

// Book is the tickets of one search. R is what an answer returns.
type Book[R any] struct {
	// Tag tells the tickets of this search from those of others: letters,
	// digits, - and _, at most MaxTag. It must not change while tickets are open.
	Tag      string       `json:"tag,omitempty"`
	Last     int64        `json:"last,omitempty"`
	Open     []Open       `json:"open,omitempty"` // ascending by number
	Receipts []Receipt[R] `json:"receipts,omitempty"`
}

// Open is a ticket that is handed out.
type Open struct {
	Number  int64     `json:"number"`
	Nodes   []int     `json:"nodes"` // what it is about
	Kind    string    `json:"kind"`  // what is asked
	Expires time.Time `json:"expires"`
}

// Receipt remembers an answer, so that it can be repeated when ours was lost.
type Receipt[R any] struct {
	Number int64  `json:"number"`
	Digest string `json:"digest"`
	Result R      `json:"result"`
}

// Full reports whether no further ticket can be issued now.
func (b *Book[R]) Full() bool { return len(b.Open) >= MaxOpen }

// Issue opens a ticket about nodes. It reports false when the book is full.
func (b *Book[R]) Issue(kind string, nodes []int, expires time.Time) (Open, bool) {
	if b.Full() {
		return Open{}, false
	}
	b.Last++
	o := Open{b.Last, slices.Clone(nodes), kind, expires}
	b.Open = append(b.Open, o)
	return o, true
}

// Expire closes the tickets that are due at now and returns how many there were.
func (b *Book[R]) Expire(now time.Time) int {
	before := len(b.Open)
	b.Open = slices.DeleteFunc(b.Open, func(o Open) bool { return !o.Expires.After(now) })
	return before - len(b.Open)
}

// Find returns an open ticket. The error is of kind fault.NotFound, with the
// code ticket_not_open: the ticket expired, was answered, or is of another
// search.
func (b *Book[R]) Find(id string) (Open, error) {
	if number, ok := b.number(id); ok {
		if i := slices.IndexFunc(b.Open, func(o Open) bool { return o.Number == number }); i >= 0 {
			return b.Open[i], nil
		}
	}
	e := fault.Newf(fault.NotFound, "the ticket %.100q is not open here: it expired, was told or abandoned, or never existed; ask for a new one", id)
	e.Code = "ticket_not_open"
	return Open{}, e
}

// Close closes an open ticket without an answer.
func (b *Book[R]) Close(number int64) {
	b.Open = slices.DeleteFunc(b.Open, func(o Open) bool { return o.Number == number })
}

// Abandon gives a ticket back, as if it had expired.
func (b *Book[R]) Abandon(id string, now time.Time) error {
	b.Expire(now)
	o, err := b.Find(id)
	if err == nil {
		b.Close(o.Number)
	}
	return err
}

// Repeat returns the result of an answer that was given before. Another answer
// to the same ticket is fault.Conflict.
func (b *Book[R]) Repeat(id, digest string) (result R, known bool, err error) {
	number, ok := b.number(id)
	if !ok {
		return result, false, nil
	}
	i := slices.IndexFunc(b.Receipts, func(r Receipt[R]) bool { return r.Number == number })
	if i < 0 {
		return result, false, nil
	}
	if r := b.Receipts[i]; r.Digest == digest {
		return r.Result, true, nil
	}
	return result, true, fault.Newf(fault.Conflict, "the ticket %s was told something else already", id)
}

// Settle closes a ticket and remembers the answer. The oldest answers are
// forgotten.
func (b *Book[R]) Settle(number int64, digest string, result R) {
	b.Close(number)
	b.Receipts = append(b.Receipts, Receipt[R]{number, digest, result})
	if over := len(b.Receipts) - keptReceipts; over > 0 {
		b.Receipts = slices.Delete(b.Receipts, 0, over)
	}
}

// Holds reports whether an open ticket of this kind is about node.
func (b *Book[R]) Holds(kind string, node int) bool {
	return slices.ContainsFunc(b.Open, func(o Open) bool { return o.Kind == kind && slices.Contains(o.Nodes, node) })
}

// Validate checks a book that came from outside: numbers that rise and are at
// most Last, at least one node from 0 to nodes-1 each, kinds that kindOK knows.
func (b *Book[R]) Validate(nodes int, kindOK func(kind string) bool) error {
	if err := CheckTag(b.Tag); err != nil {
		return err
	}
	if len(b.Open) > MaxOpen || len(b.Receipts) > keptReceipts || b.Last < 0 {
		return invalid("tickets", "at most %d open and %d answered", MaxOpen, keptReceipts)
	}
	last := int64(0)
	for i, o := range b.Open {
		if o.Number <= last || o.Number > b.Last {
			return invalid(fmt.Sprintf("open[%d].number", i), "rising numbers up to last, %d", b.Last)
		}
		last = o.Number
		if !kindOK(o.Kind) || len(o.Nodes) == 0 || len(o.Nodes) > MaxSubjects {
			return invalid(fmt.Sprintf("open[%d]", i), "a known kind and 1 to %d nodes", MaxSubjects)
		}
		for _, n := range o.Nodes {
			if n < 0 || n >= nodes {
				return invalid(fmt.Sprintf("open[%d].nodes", i), "nodes from 0 to %d", nodes-1)
			}
		}
	}
	seen := map[int64]bool{}
	for i, r := range b.Receipts {
		_, open := slices.BinarySearchFunc(b.Open, r.Number, func(o Open, n int64) int { return int(min(max(o.Number-n, -1), 1)) })
		if r.Number < 1 || r.Number > b.Last || seen[r.Number] || open || len(r.Digest) > 64 {
			return invalid(fmt.Sprintf("receipts[%d]", i), "each answered ticket once")
		}
		seen[r.Number] = true
	}
	return nil
}

// CheckTag refuses what cannot be a Tag.
func CheckTag(tag string) error {
	for _, c := range []byte(tag) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return invalid("tag", "letters, digits, - and _")
		}
	}
	if len(tag) > MaxTag {
		return invalid("tag", "at most %d bytes", MaxTag)
	}
	return nil
}

// ID returns the name of a ticket for the client.
func (b *Book[R]) ID(number int64) string {
	id := "t" + strconv.FormatInt(number, 10)
	if b.Tag != "" {
		id += "." + b.Tag
	}
	return id
}

func (b *Book[R]) number(id string) (int64, bool) {
	digits, _, _ := strings.Cut(strings.TrimPrefix(id, "t"), ".")
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, err == nil && b.ID(number) == id
}

// Digest identifies the content of an answer, empty if JSON cannot say it.
func Digest(answer any) string {
	text, err := json.Marshal(answer)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

func invalid(path, expected string, args ...any) error {
	return fault.Newf(fault.Invalid, "%s: expected "+expected, append([]any{path}, args...)...)
}
