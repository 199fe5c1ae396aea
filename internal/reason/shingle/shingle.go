// Package shingle compares texts by the runs of words that they have in common
// (Broder, On the resemblance and containment of documents, 1997).
package shingle

import (
	"hash/fnv"
	"slices"
	"sort"
	"unicode"
)

// size is how many words in a row make a shingle. Three tell a sentence from
// another one that uses the same words.
const size = 3

// Of returns the distinct hashes of all runs of three words of a text, sorted. A
// shorter text is one shingle, a text without words none. Words are runs of
// letters and digits in lower case; a number is its digits. Time and space are
// linear in the text, but for the sorting.
func Of(text string) []uint64 {
	words := wordHashes(text)
	if len(words) == 0 {
		return nil
	}
	n := min(size, len(words))
	out := make([]uint64, 0, len(words))
	for i := 0; i+n <= len(words); i++ {
		h := uint64(len(words[i : i+n]))
		for _, w := range words[i : i+n] {
			h = h*0x9e3779b97f4a7c15 ^ w
			h ^= h >> 29
		}
		out = append(out, h)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wordHashes returns the 64-bit FNV-1a hash of each word of text.
func wordHashes(text string) []uint64 {
	var out []uint64
	h := fnv.New64a()
	open := false
	var b [4]byte
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			if open {
				out = append(out, h.Sum64())
				h.Reset()
			}
			open = false
			continue
		}
		open = true
		r = unicode.ToLower(r)
		b[0], b[1], b[2], b[3] = byte(r), byte(r>>8), byte(r>>16), 0
		h.Write(b[:]) // a hash never fails
	}
	if open {
		out = append(out, h.Sum64())
	}
	return out
}

// Jaccard returns the size of the intersection of two results of Of over that of
// their union, from 0 to 1: 0 for two empty ones. Time is linear in their sizes.
func Jaccard(a, b []uint64) float64 {
	both := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			both++
			i++
			j++
		case a[i] < b[j]:
			i++
		default:
			j++
		}
	}
	if union := len(a) + len(b) - both; union > 0 {
		return float64(both) / float64(union)
	}
	return 0
}

// Reach reports whether Jaccard(a, b) is at least limit, above 0. It stops as soon
// as that is out of reach.
func Reach(a, b []uint64, limit float64) bool {
	total, few := len(a)+len(b), min(len(a), len(b))
	need := sort.Search(few+1, func(both int) bool { return float64(both)/float64(max(1, total-both)) >= limit })
	if need > few {
		return false
	}
	both := 0
	for i, j := 0, 0; both < need; {
		if both+min(len(a)-i, len(b)-j) < need {
			return false
		}
		switch {
		case a[i] == b[j]:
			both++
			i++
			j++
		case a[i] < b[j]:
			i++
		default:
			j++
		}
	}
	return true
}
