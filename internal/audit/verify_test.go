package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// sample is a closed log of a few records, with checkpoints among them.
func sample(t testing.TB, n int) (*Log, []byte) {
	t.Helper()
	l := begin(t, Config{CheckpointEvery: 4})
	for i := range n {
		add(t, l, call(i))
	}
	end(t, l)
	return l, content(t, l.cfg.Dir)
}

func verify(t testing.TB, text []byte, opts VerifyOptions) Report {
	t.Helper()
	r, err := Verify(context.Background(), bytes.NewReader(text), "log", opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifyFindsEveryFlip(t *testing.T) {
	l, text := sample(t, 5)
	opts := keys(l)
	if r := verify(t, text, opts); !r.OK || r.Records != 8 {
		t.Fatalf("%+v", r)
	}
	starts := []int{0}
	for _, line := range lines(text) {
		starts = append(starts, starts[len(starts)-1]+len(line))
	}
	for at := range text {
		for _, flip := range []byte{1, 0x20} {
			text[at] ^= flip
			r := verify(t, text, opts)
			text[at] ^= flip
			if r.OK {
				t.Fatalf("byte %d with %#x flipped: not found", at, flip)
			}
			// The first problem is where the byte is.
			n, _ := slices.BinarySearch(starts, at+1)
			if p := r.Problems[0]; p.Line != n || p.Offset != int64(starts[n-1]) {
				t.Fatalf("byte %d of line %d: %+v", at, n, p)
			}
		}
	}
}

func TestVerifyFindsEveryMove(t *testing.T) {
	l, text := sample(t, 6)
	all := lines(text)
	join := func(l [][]byte) []byte { return bytes.Join(l, nil) }
	last := strings.TrimSuffix(string(all[len(all)-1]), "\n")
	head := last[len(last)-hashLen-2 : len(last)-2]
	opts := keys(l)
	opts.Head = head
	if r := verify(t, text, opts); !r.OK || !r.HeadFound || r.Head != head {
		t.Fatalf("%+v", r)
	}
	for i := range all {
		removed := slices.Delete(slices.Clone(all), i, i+1)
		if r := verify(t, join(removed), opts); r.OK {
			t.Errorf("line %d removed: not found", i+1)
		}
		if r := verify(t, join(all[:i]), opts); r.OK || r.Problems[len(r.Problems)-1].Code != ProblemHead {
			t.Errorf("cut before line %d: %+v", i+1, r.Problems)
		}
		for j := range i {
			swapped := slices.Clone(all)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if r := verify(t, join(swapped), opts); r.OK {
				t.Errorf("lines %d and %d swapped: not found", i+1, j+1)
			}
		}
		for j := range all { // a copy of any line, put anywhere
			inserted := slices.Insert(slices.Clone(all), j, all[i])
			if r := verify(t, join(inserted), opts); r.OK {
				t.Errorf("line %d inserted before line %d: not found", i+1, j+1)
			}
		}
	}
	for cut := range text {
		if r := verify(t, text[:cut], opts); r.OK {
			t.Fatalf("cut at byte %d: not found", cut)
		}
	}
}

// forge computes the chain of all lines anew, as somebody does who has no key.
func forge(t *testing.T, all [][]byte) []byte {
	t.Helper()
	var out []byte
	var c chain
	copy(c.prev[:], zeroHash)
	for _, text := range all {
		l, err := parseLine(bytes.TrimSuffix(text, []byte{'\n'}))
		if err != nil {
			t.Fatal(err)
		}
		part := l.hashed[len(lineStart)+len(fmt.Sprint(l.seq)):]
		sig := ""
		if l.sig != nil {
			sig = string(part[len(l.signed)-len(l.hashed)+len(part):])
			part = part[:len(part)-len(sig)]
		}
		part = part[:len(part)-len(prevStart)-hashLen-1]
		if l.seq == 1 || c.seq == 0 {
			copy(c.prev[:], l.prev)
		}
		if sig == "" {
			out = c.append(out, part, nil)
			continue
		}
		// The old signature is all that the forger has.
		mark := len(out)
		out = c.append(out, part, nil)
		again, err := parseLine(bytes.TrimSuffix(out[mark:], []byte{'\n'}))
		if err != nil {
			t.Fatal(err)
		}
		prefix := string(again.hashed) + sig
		out = append(out[:mark], rehash(prefix, &c)...)
	}
	return out
}

// rehash ends a line.
func rehash(prefix string, c *chain) string {
	hash := strings.TrimPrefix(ArgumentsDigest(json.RawMessage(prefix)), "sha256:") // of text that is not JSON: of the bytes
	copy(c.prev[:], hash)
	return prefix + hashStart + hash + lineEnd + "\n"
}

func TestVerifyFindsForgedChains(t *testing.T) {
	l, text := sample(t, 10)
	all := lines(text)
	opts := keys(l)
	opts.Sealed = true
	if got := forge(t, all); !bytes.Equal(got, text) {
		t.Fatalf("forging nothing gives\n%s\nwant\n%s", got, text)
	}
	edited := 0
	for i, line := range all {
		change := slices.Clone(all)
		change[i] = bytes.Replace(line, []byte(`"alice"`), []byte(`"mallory"`), 1)
		if bytes.Equal(change[i], line) {
			continue
		}
		edited++
		forged := forge(t, change)
		if r := verify(t, forged, opts); r.OK || r.Problems[0].Code != ProblemSignature {
			t.Errorf("line %d edited and the chain computed anew: %+v", i+1, r.Problems)
		}
		if r := verify(t, forged, VerifyOptions{}); !r.OK || r.KeysGiven {
			t.Errorf("without a key the forgery must look good, or this test forges badly: %+v", r.Problems)
		}
		removed := forge(t, slices.Delete(slices.Clone(all), i, i+1))
		if r := verify(t, removed, opts); r.OK {
			t.Errorf("line %d removed and the chain computed anew: not found", i+1)
		}
	}
	if edited != 10 {
		t.Fatalf("%d lines were edited", edited)
	}
	// Without its checkpoints the log promises signatures that it does not have.
	bare := slices.DeleteFunc(slices.Clone(all), func(line []byte) bool { return bytes.Contains(line, []byte(`"kind":"checkpoint"`)) })
	if r := verify(t, forge(t, bare), keys(l)); r.OK || r.Problems[0].Code != ProblemUnsigned {
		t.Errorf("without checkpoints: %+v", r)
	}
	// A first line of one's own needs a key of one's own.
	other, _ := sample(t, 10)
	if r := verify(t, content(t, other.cfg.Dir), opts); r.OK || r.Problems[0].Code != ProblemKey {
		t.Errorf("another log: %+v", r.Problems)
	}
}

func TestVerifyFiles(t *testing.T) {
	l := begin(t, Config{MaxFileBytes: 4 << 10})
	for n := range 40 {
		add(t, l, call(n))
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	end(t, l)
	r := mustBeIntact(t, l, keys(l))
	if r.Files < 4 {
		t.Fatalf("%d files", r.Files)
	}
	segs, _ := Segments(l.cfg.Dir)
	var paths []string
	for _, s := range segs {
		paths = append(paths, s.Path)
		if one, err := VerifyFiles(t.Context(), []string{s.Path}, keys(l)); err != nil || !one.OK {
			t.Errorf("%s alone: %v %v", s.Path, err, one.Problems)
		}
	}
	for i := range paths {
		some := slices.Delete(slices.Clone(paths), i, i+1)
		got, err := VerifyFiles(t.Context(), some, VerifyOptions{Keys: keys(l).Keys, Head: r.Head})
		if err != nil || got.OK != (i == 0) {
			t.Errorf("without file %d: %v %v", i+1, err, got.Problems)
		}
	}
	slices.Reverse(paths)
	if got, err := VerifyFiles(t.Context(), paths, keys(l)); err != nil || got.OK {
		t.Errorf("in reverse: %v %+v", err, got)
	}
	if _, err := VerifyDir(t.Context(), t.TempDir(), VerifyOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	head, err := ReadHead(t.Context(), l.cfg.Dir)
	if err != nil || head.Hash != r.Head || head.Seq != r.Last || !head.Signed || !head.Time.Equal(r.LastTime) {
		t.Errorf("%+v, %v; the report has %s", head, err, r.Head)
	}
}

// Problems are bounded, and so is memory, whatever a file contains.
func TestVerifyIsBounded(t *testing.T) {
	var junk bytes.Buffer
	for range 500 {
		junk.WriteString("{}\n")
	}
	junk.Write(bytes.Repeat([]byte("x"), 64<<20))
	junk.WriteString("\nend")
	text := junk.Bytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := verify(t, text, VerifyOptions{MaxProblems: 3})
	runtime.ReadMemStats(&after)
	if r.OK || len(r.Problems) != 3 || r.More != 499 || r.Bytes != int64(len(text)) {
		t.Errorf("%d problems and %d more", len(r.Problems), r.More)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, strings.NewReader(strings.Repeat("{}\n", 2*everyLines)), "log", VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	l, text := sample(f, 3)
	f.Add(text)
	for _, line := range lines(text) {
		f.Add(line)
	}
	opts := keys(l)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Verify(context.Background(), bytes.NewReader(data), "log", opts)
		if err != nil {
			t.Fatal(err)
		}
		if r.OK && len(data) > 0 && !bytes.HasPrefix(text, data) {
			t.Fatalf("a log that we did not write is intact:\n%s", data)
		}
	})
}

func TestKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, KeyFile)
	k, err := OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenKey(path)
	if err != nil || again.ID() != k.ID() {
		t.Errorf("read again: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(path); err == nil || !strings.Contains(err.Error(), "0640") {
		t.Errorf("a key that others read: %v", err)
	}
	for _, text := range []string{"", "junk", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		bad := filepath.Join(dir, "bad.key")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(bad); err == nil {
			t.Errorf("%q is a key", text)
		}
		if _, err := ParsePublicKeys([]byte(text)); err == nil {
			t.Errorf("%q is a public key", text)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v %v", left, err)
	}
}
