// Package forgetest changes JSON values the way somebody does who wants their
// reader to fail: it deletes, doubles, swaps and truncates, and puts numbers, texts
// and references where they do not belong. Tests give the results to what checks
// values from outside.
package forgetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Mutate returns data, which must be JSON, with up to most changes. The same
// numbers from rng give the same result.
func Mutate(rng *rand.Rand, data []byte, most int) []byte {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var root any
	if dec.Decode(&root) != nil {
		return data
	}
	for range 1 + rng.IntN(most) {
		root = change(rng, root)
	}
	out, err := json.Marshal(root)
	if err != nil { // a number that JSON cannot say
		return data
	}
	return out
}

// place is where a value is, and how to put another one there.
type place struct {
	value any
	set   func(any)
	drop  func() // nil for the root
}

// places lists all values, in an order that does not depend on maps.
func places(v any, p place, all *[]place) {
	p.value = v
	*all = append(*all, p)
	switch v := v.(type) {
	case []any:
		for i := range v {
			places(v[i], place{set: func(x any) { v[i] = x }, drop: func() { p.set(slices.Delete(slices.Clone(v), i, i+1)) }}, all)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			places(v[key], place{set: func(x any) { v[key] = x }, drop: func() { delete(v, key) }}, all)
		}
	}
}

func change(rng *rand.Rand, root any) any {
	var all []place
	places(root, place{set: func(x any) { root = x }}, &all)
	p, other := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
	switch rng.IntN(10) {
	case 0:
		if p.drop != nil {
			p.drop()
		}
	case 1:
		p.set(clone(other.value))
	case 2, 3: // the same kind of value from elsewhere: an id twice, an index swapped
		same := slices.DeleteFunc(all, func(o place) bool { return kind(o.value) != kind(p.value) })
		p.set(clone(same[rng.IntN(len(same))].value))
	case 4:
		p.set([]any{nil, true, false, "NaN", json.Number("0"), map[string]any{}, []any{}}[rng.IntN(7)])
	default:
		p.set(another(rng, p.value))
	}
	return root
}

var numbers = []json.Number{
	"0", "1", "-1", "2", "0.5", "3", "32", "64", "1000", "1e300", "-1e300", "1e-300", "2147483648", "9007199254740993",
	"9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e6", "4294967296",
}

// another returns another value of the same kind.
func another(rng *rand.Rand, v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil && rng.IntN(2) == 0 {
			b, _ := json.Marshal(n + int64(rng.IntN(5)) - 2) // an integer has a form
			return json.Number(b)
		}
		return numbers[rng.IntN(len(numbers))]
	case string:
		return []string{
			"", " ", "NaN", "Infinity", "-1", "1e999999999", v + v, v + "x", strings.Repeat("long ", 10_000), "\x00", "1/0", "main", "open", "merged",
			"9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", strings.ToUpper(v),
		}[rng.IntN(17)]
	case bool:
		return !v
	case []any:
		out := slices.Clone(v)
		switch {
		case len(out) == 0:
			return []any{json.Number("0")}
		case rng.IntN(3) == 0:
			return out[:rng.IntN(len(out))]
		case rng.IntN(2) == 0:
			return append(out, clone(out[rng.IntN(len(out))]))
		}
		i, j := rng.IntN(len(out)), rng.IntN(len(out))
		out[i], out[j] = out[j], out[i]
		return out
	case map[string]any:
		out := maps.Clone(v)
		keys := slices.Sorted(maps.Keys(out))
		if len(keys) < 2 {
			out["other"] = json.Number("1")
			return out
		}
		i, j := keys[rng.IntN(len(keys))], keys[rng.IntN(len(keys))]
		out[i], out[j] = out[j], out[i]
		return out
	}
	return json.Number("7")
}

func kind(v any) int {
	switch v.(type) {
	case json.Number:
		return 1
	case string:
		return 2
	case bool:
		return 3
	case []any:
		return 4
	case map[string]any:
		return 5
	}
	return 0
}

// clone copies a value, so that no two places share one.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = clone(v[k])
		}
		return out
	}
	return v
}
