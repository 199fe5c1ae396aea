package config

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A raw value is what a layer holds: a string, a list []any of raw values, or
// an object map[string]any of raw values.

// userInfo matches the user and password in a URL: nobody's log needs them.
var userInfo = regexp.MustCompile(`//[^/?#@]*@`)

// decoder turns raw values into typed ones and collects what is wrong.
type decoder struct {
	origins  map[string]Origin
	problems Problems
}

// fail reports that the value of s at path is wrong.
func (d *decoder) fail(s *setting, path, value, reason string) {
	if s.kind == secret && value != "" {
		value = mask
	}
	value = userInfo.ReplaceAllString(value, "//"+mask+"@")
	d.problems = append(d.problems, Problem{
		Path: path, Value: value, Reason: reason, Origin: originOf(d.origins, path), Allowed: s.allowed(),
	})
}

// decode returns the value of s that raw stands for.
func (d *decoder) decode(s *setting, path string, raw any) (reflect.Value, bool) {
	switch s.kind {
	case list:
		return d.decodeList(s, path, raw)
	case objects:
		return d.decodeObjects(s, path, raw)
	}
	text, ok := raw.(string)
	if !ok {
		d.fail(s, path, "", "takes one value, not a list or a section")
		return reflect.Value{}, false
	}
	v, reason := s.parse(text)
	if reason != "" {
		d.fail(s, path, text, reason)
		return reflect.Value{}, false
	}
	return v, true
}

// items returns raw as a list; a text is a list separated by commas.
func items(raw any) ([]any, bool) {
	switch raw := raw.(type) {
	case []any:
		return raw, true
	case string:
		var all []any
		for part := range strings.SplitSeq(raw, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
		return all, true
	}
	return nil, false
}

func (d *decoder) decodeList(s *setting, path string, raw any) (reflect.Value, bool) {
	all, ok := items(raw)
	switch {
	case !ok:
		d.fail(s, path, "", "takes a list, not a section")
		return reflect.Value{}, false
	case len(all) > s.maxItems:
		d.fail(s, path, "", fmt.Sprintf("has %d elements", len(all)))
		return reflect.Value{}, false
	}
	v := reflect.MakeSlice(s.typ, 0, len(all))
	for i, raw := range all {
		e, fine := d.decode(s.elem, fmt.Sprintf("%s[%d]", path, i), raw)
		if ok = ok && fine; fine {
			v = reflect.Append(v, e)
		}
	}
	return v, ok
}

func (d *decoder) decodeObjects(s *setting, path string, raw any) (reflect.Value, bool) {
	if text, ok := raw.(string); ok {
		parsed, err := parseInline(text)
		if err != nil {
			d.fail(s, path, text, err.Error())
			return reflect.Value{}, false
		}
		raw = parsed
	}
	if one, ok := raw.(map[string]any); ok {
		raw = []any{one}
	}
	all, ok := raw.([]any)
	switch {
	case !ok:
		d.fail(s, path, "", "takes a list of sections")
		return reflect.Value{}, false
	case len(all) > s.maxItems:
		d.fail(s, path, "", fmt.Sprintf("has %d elements", len(all)))
		return reflect.Value{}, false
	}
	v := reflect.MakeSlice(s.typ, len(all), len(all))
	for i, raw := range all {
		ok = d.decodeObject(s, fmt.Sprintf("%s[%d]", path, i), raw, v.Index(i)) && ok
	}
	return v, ok
}

// decodeObject fills target, one element of the objects s.
func (d *decoder) decodeObject(s *setting, path string, raw any, target reflect.Value) bool {
	given, ok := raw.(map[string]any)
	if !ok {
		d.fail(s, path, "", "is not a section")
		return false
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if s.fields.byPath[key] == nil {
			ok = false
			d.problems = append(d.problems, unknown(path+"."+key, originOf(d.origins, path+"."+key), meant(key, s.fields.keys())))
		}
	}
	s.fields.setDefaults(target)
	for _, f := range s.fields.settings {
		at := path + "." + f.path
		raw, set := given[f.path]
		switch {
		case set:
			v, fine := d.decode(f, at, raw)
			if ok = ok && fine; fine {
				target.FieldByIndex(f.index).Set(v)
			}
			if fine && f.required && v.IsZero() {
				d.fail(f, at, "", "is empty")
				ok = false
			}
		case f.required:
			d.fail(f, at, "", "is missing")
			ok = false
		}
	}
	return ok
}

// parse returns the value of the one-value setting s that text stands for, or
// what is wrong with it.
func (s *setting) parse(text string) (reflect.Value, string) {
	if len(text) > maxText {
		return reflect.Value{}, fmt.Sprintf("is longer than %d bytes", maxText)
	}
	v := reflect.New(s.typ).Elem()
	switch s.kind {
	case boolean:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return v, "is neither true nor false"
		}
		v.SetBool(b)
	case network:
		p, err := parseNetwork(text)
		if err != nil {
			return v, "is not a network"
		}
		v.Set(reflect.ValueOf(p))
	case secret:
		if text == mask {
			return v, "is the mask that hides a secret, not the secret"
		}
		if text != "" {
			v.Set(reflect.ValueOf(NewSecret(text)))
		}
	case whole, fraction, duration, size:
		n, reason := s.parseNumber(text)
		if reason == "" {
			reason = s.outside(n)
		}
		if reason != "" {
			return v, reason
		}
		if v.CanFloat() {
			v.SetFloat(n)
		} else {
			v.SetInt(int64(n))
		}
	default:
		if reason := s.checkText(text); reason != "" {
			return v, reason
		}
		v.SetString(text)
	}
	return v, ""
}

func (s *setting) checkText(text string) string {
	switch {
	case len(s.enum) > 0 && !slices.Contains(s.enum, text):
		return "is not one of the choices"
	case s.format != "" && !formats[s.format].ok(text):
		return "is not in the right form"
	}
	return ""
}

// outside says how n misses the range of s.
func (s *setting) outside(n float64) string {
	switch {
	case s.low != nil && n < s.low.value:
		return "is below " + s.low.text
	case s.high != nil && n > s.high.value:
		return "is above " + s.high.text
	case math.Abs(n) >= 1<<53: // a float64 holds every whole number below
		return "is too large"
	}
	return ""
}

// parseNumber reads a whole, fraction, duration (in nanoseconds) or size (in
// bytes).
func (s *setting) parseNumber(text string) (float64, string) {
	if text == "" {
		return 0, "is empty"
	}
	switch s.kind {
	case duration:
		d, err := time.ParseDuration(text)
		if err == nil {
			return float64(d), ""
		}
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return 0, "has no unit: write " + text + "s for seconds"
		}
		return 0, "is not a duration"
	case size:
		return parseSize(text)
	case fraction:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return 0, "is not a number"
		}
		return n, ""
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	if err != nil {
		return 0, "is not a whole number"
	}
	return float64(n), ""
}

// units of a size, the largest first.
var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseSize reads a number of bytes such as 1048576, 1MiB or 64 KiB.
func parseSize(text string) (float64, string) {
	digits, factor := text, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
	if err != nil || n < 0 {
		return 0, "is not a size"
	}
	return float64(n) * float64(factor), ""
}

// parseNetwork reads a network, or an address as the network of itself.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// encode is the reverse of decode: the raw value that stands for v.
func (s *setting) encode(v reflect.Value) any {
	switch s.kind {
	case boolean:
		return strconv.FormatBool(v.Bool())
	case whole:
		return strconv.FormatInt(v.Int(), 10)
	case fraction:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case duration:
		return formatDuration(time.Duration(v.Int()))
	case size:
		return formatSize(v.Int())
	case network:
		return fmt.Sprint(v.Interface())
	case secret:
		if v.IsZero() {
			return ""
		}
		return mask
	case list:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = s.elem.encode(v.Index(i))
		}
		return all
	case objects:
		all := make([]any, v.Len())
		for i := range all {
			object := map[string]any{}
			for _, f := range s.fields.settings {
				object[f.path] = f.encode(v.Index(i).FieldByIndex(f.index))
			}
			all[i] = object
		}
		return all
	}
	return v.String()
}

// formatDuration writes 1h0m0s as 1h.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// formatSize writes a number of bytes in the largest unit that divides it.
func formatSize(n int64) string {
	for _, u := range units {
		if n != 0 && u.bytes > 1 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
