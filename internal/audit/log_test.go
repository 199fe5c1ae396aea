package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestRoundTrip(t *testing.T) {
	l := begin(t, Config{Arguments: FullArguments})
	want := call(1)
	want.Time = time.Date(2026, 7, 28, 9, 0, 0, 123, time.UTC)
	want.Action, want.Code, want.Reason = "opened", "x", "because"
	add(t, l, want)
	end(t, l)
	got := all(t, l.cfg.Dir, Filter{Kind: Call})
	if len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
	want.Session = l.key.SessionHash(want.Session)
	want.Arguments = json.RawMessage(`{"a":[1,2],"b":1}`)
	sum := sha256.Sum256(want.Arguments)
	want.Digest = "sha256:" + hex.EncodeToString(sum[:])
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got[0].Record)
	if !bytes.Equal(a, b) {
		t.Errorf("\n%s\nwant\n%s", b, a)
	}
	if got[0].Seq != 2 || got[0].ArgumentsBytes != len(want.Arguments) {
		t.Errorf("seq %d, %d bytes", got[0].Seq, got[0].ArgumentsBytes)
	}
	if r := mustBeIntact(t, l, VerifyOptions{Keys: keys(l).Keys, Sealed: true}); r.Signatures != 2 || r.LastSigned != r.Last {
		t.Errorf("report %+v", r)
	}
}

// The digest is the HMAC that crypto/hmac computes.
func TestSessionHash(t *testing.T) {
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, handle := range []string{"", "rs_x", strings.Repeat("long", 100)} {
		var secret [blockSize]byte
		for i := range secret {
			secret[i] = k.inner[i] ^ 0x36
		}
		mac := hmac.New(sha256.New, secret[:sha256.Size])
		mac.Write([]byte(handle))
		if got, want := k.SessionHash(handle), hex.EncodeToString(mac.Sum(nil)[:16]); got != want {
			t.Errorf("%q: %s, want %s", handle, got, want)
		}
	}
}

// Nothing that a client names makes a line long, breaks it, or moves a cursor.
func TestHostileTexts(t *testing.T) {
	l := begin(t, Config{})
	evil := "\x1b[2J\n\"},{\r\x00\u202e\u2028\x7f\xff😀é"
	big := strings.Repeat("é", 1<<19)
	for _, s := range []string{evil, big, strings.Repeat(evil, 1<<15)} {
		r := call(0)
		r.Action, r.Tenant, r.Issuer, r.Subject, r.ClientID, r.Address = s, s, s, s, s, s
		r.Operation, r.Session, r.Decision, r.Code, r.Outcome, r.TraceID, r.RequestID, r.Reason = s, s, s, s, s, s, s, s
		r.Arguments = json.RawMessage(s)
		add(t, l, r)
	}
	end(t, l)
	mustBeIntact(t, l, keys(l))
	got := all(t, l.cfg.Dir, Filter{Kind: Call})
	if len(got) != 3 {
		t.Fatalf("%d records", len(got))
	}
	if want := strings.ReplaceAll(evil, "\xff", "\ufffd"); got[0].ClientID != want {
		t.Errorf("%q, want %q", got[0].ClientID, want)
	}
	if want := strings.Repeat("é", 128) + "…(1048576 bytes)"; got[1].ClientID != want {
		t.Errorf("a long name became %.600q", got[1].ClientID)
	}
	for _, e := range got {
		if len(e.Line) > 40<<10 {
			t.Errorf("a line has %d bytes", len(e.Line))
		}
		for _, r := range string(e.Line) {
			if r < ' ' || r == 0x7f || r == 0x202e || r == 0x2028 {
				t.Errorf("%U stands in a line as it is", r)
			}
		}
	}
	if n := len(all(t, l.cfg.Dir, Filter{ClientID: big})); n != 1 {
		t.Errorf("a long name finds %d records", n)
	}
}

func TestAppendRefusesOurKinds(t *testing.T) {
	l := begin(t, Config{})
	m, err := NewMemory(0, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Sink{l, m} {
		for _, k := range []Kind{"", Chain, Broken, Checkpoint, Gap, Recovered, Retention} {
			if err := s.Append(t.Context(), Record{Kind: k}); err == nil {
				t.Errorf("%T took a record of kind %q", s, k)
			}
		}
		end(t, s)
		if err := s.Append(t.Context(), call(0)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%T after Close: %v", s, err)
		}
	}
}

func TestOneWriter(t *testing.T) {
	l := begin(t, Config{})
	if _, err := Open(Config{Dir: l.cfg.Dir}); !errors.Is(err, errLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if r := verifyDir(t, l.cfg.Dir, keys(l)); !r.InUse || !r.OK {
		t.Errorf("verify meanwhile: %+v", r)
	}
}

// Under always 64 callers share fsyncs, and each has its record on the disk
// when Append returns.
func TestAlwaysShares(t *testing.T) {
	disk := &faulty{}
	l := begin(t, Config{Fsync: FsyncAlways, files: disk.opener})
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := range each {
				if err := l.Append(t.Context(), call(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := l.Stats()
	if s.Appended != callers*each || s.Syncs >= callers*each || s.LargestBatch < 2 {
		t.Errorf("%+v: want %d records and fewer fsyncs", s, callers*each)
	}
	if got := len(all(t, l.cfg.Dir, Filter{Kind: Call})); got != callers*each {
		t.Errorf("%d records in the file before Close", got)
	}
	t.Logf("%d records, %d fsyncs, %d in the largest batch", s.Appended, s.Syncs, s.LargestBatch)
	end(t, l)
	mustBeIntact(t, l, keys(l))
}

// Under interval nothing waits for the disk, and the disk is asked once an
// interval; an idle log does nothing.
func TestInterval(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		l, err := Open(Config{Dir: dir, FsyncInterval: time.Second, CheckpointInterval: time.Minute, files: disk.opener})
		if err != nil {
			t.Fatal(err)
		}
		count := func() int { disk.mu.Lock(); defer disk.mu.Unlock(); return disk.syncs }
		base := count()
		for range 10 {
			add(t, l, call(0))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := count() - base; n != 0 {
			t.Errorf("%d fsyncs in the first second", n)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := count() - base; n != 1 {
			t.Errorf("%d fsyncs after it, want 1", n)
		}
		time.Sleep(62 * time.Second)
		synctest.Wait()
		if s := l.Stats(); s.Checkpoint != s.Seq || s.Seq != 12 {
			t.Errorf("after a minute: %+v", s)
		}
		before := count()
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if s := l.Stats(); count()-before > 1 || s.Seq > 14 || s.Files > 1 {
			t.Errorf("an idle log: %d fsyncs, %+v", count()-before, s)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if r := verifyDir(t, dir, VerifyOptions{Sealed: true}); !r.OK {
		t.Error(r.Problems)
	}
}

// A file begins when the other is old, but only if that was used.
func TestMaxAge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(Config{Dir: dir, MaxAge: time.Hour, KeepFiles: 2})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			add(t, l, call(0))
			time.Sleep(61 * time.Minute)
			synctest.Wait()
		}
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		if s := l.Stats(); s.Files != 5 || s.FilesDeleted != 3 {
			t.Errorf("%+v: want 5 files begun, 3 deleted", s)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if r := verifyDir(t, dir, VerifyOptions{}); !r.OK || r.Files != 2 || r.First == 1 {
		t.Errorf("%+v", r)
	}
}

// Files change while callers append; what was deleted was said to be.
func TestRotation(t *testing.T) {
	l := begin(t, Config{Fsync: FsyncAlways, MaxFileBytes: 64 << 10, KeepFiles: 3, CheckpointEvery: 7})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 250 {
				if err := l.Append(t.Context(), call(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { // somebody looks meanwhile
		defer close(done)
		for range 20 {
			r, err := VerifyDir(context.Background(), l.cfg.Dir, keys(l))
			if err == nil && !r.OK && r.Problems[0].Code != ProblemFiles { // its files may be deleted under it
				t.Errorf("while it is written: %v", r.Problems)
			}
		}
	}()
	wg.Wait()
	<-done
	end(t, l)
	r := mustBeIntact(t, l, VerifyOptions{Keys: keys(l).Keys, Sealed: true})
	if s := l.Stats(); r.Files != 3 || s.FilesDeleted == 0 || s.Appended != 2000 || s.Files != s.FilesDeleted+3 {
		t.Errorf("%+v\n%+v", r, s)
	}
	// One more that goes without saying.
	segs, _ := Segments(l.cfg.Dir)
	if err := os.Remove(segs[0].Path); err != nil {
		t.Fatal(err)
	}
	if r := verifyDir(t, l.cfg.Dir, keys(l)); r.OK || r.Problems[0].Code != ProblemFiles {
		t.Errorf("a file too few: %+v", r)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		l := begin(t, Config{Dir: dir})
		add(t, l, call(n))
		end(t, l)
		if r := mustBeIntact(t, l, keys(l)); r.Files != 1 || r.Last != uint64(3+2*n) {
			t.Errorf("opened %d times: %+v", n+1, r)
		}
	}
	// Another promise needs another first line, another key too.
	l := begin(t, Config{Dir: dir, CheckpointEvery: 5})
	end(t, l)
	mustBeIntact(t, l, keys(l))
	other := begin(t, Config{Dir: dir, CheckpointEvery: 5, KeyFile: filepath.Join(dir, "other.key")})
	add(t, other, call(9))
	end(t, other)
	text, err := os.ReadFile(filepath.Join(dir, PublicFile))
	if err != nil {
		t.Fatal(err)
	}
	both, err := ParsePublicKeys(text)
	if err != nil || len(both) != 2 {
		t.Fatalf("%d keys, %v", len(both), err)
	}
	if r := mustBeIntact(t, other, VerifyOptions{Keys: both}); r.Files != 3 || len(r.KeyIDs) != 2 {
		t.Errorf("%+v", r)
	}
	if r := verifyDir(t, dir, keys(other)); r.OK || r.Problems[0].Code != ProblemKey {
		t.Errorf("with one key: %+v", r.Problems)
	}
}

// What a kill leaves behind is cut off, and that is recorded.
func TestTornEnd(t *testing.T) {
	whole := begin(t, Config{})
	add(t, whole, call(1), call(2))
	end(t, whole)
	text := content(t, whole.cfg.Dir)
	ends := lines(text)
	lastStart := len(text) - len(ends[len(ends)-1])
	for cut := range text {
		if cut < lastStart && cut%17 != 0 && text[max(0, cut-1)] != '\n' {
			continue // each costs a few fsyncs: all of the last line, some of the others
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName(1)), text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := begin(t, Config{Dir: dir, KeyFile: whole.cfg.KeyFile, files: (&faulty{unsafe: true}).opener})
		add(t, l, call(3))
		end(t, l)
		r := mustBeIntact(t, l, keys(l))
		torn := cut > 0 && text[cut-1] != '\n'
		if (r.Recovered == 1) != torn {
			t.Fatalf("cut at %d of %d (last line at %d): %+v", cut, len(text), lastStart, r)
		}
	}
}

// A damaged log goes on in a new file, and both say so.
func TestDamagedAtOpen(t *testing.T) {
	l := begin(t, Config{})
	add(t, l, call(1), call(2), call(3))
	end(t, l)
	path := filepath.Join(l.cfg.Dir, fileName(1))
	text := content(t, l.cfg.Dir)
	at := bytes.Index(text, []byte("alice"))
	text[at] = 'A'
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		l = begin(t, Config{Dir: l.cfg.Dir})
		add(t, l, call(4))
		end(t, l)
		r := verifyDir(t, l.cfg.Dir, keys(l))
		if r.OK || r.Files != 2 || len(r.Problems) != 2 || r.Problems[0].Code != ProblemHash || r.Problems[1].Code != ProblemBroken {
			t.Fatalf("opened %d times: %+v", n+1, r)
		}
		if p := r.Problems[0]; p.Line != 2 || p.Seq != 2 || p.Offset != int64(bytes.IndexByte(text, '\n')+1) {
			t.Errorf("where: %+v", p)
		}
	}
	if !bytes.Equal(content(t, l.cfg.Dir), text) {
		t.Error("the damaged file was touched")
	}
}

func TestForward(t *testing.T) {
	var mu sync.Mutex
	var got []Record
	block := make(chan struct{})
	l := begin(t, Config{Forward: func(r Record) {
		<-block
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r)
	}})
	for n := range maxForward + 100 {
		add(t, l, call(n))
	}
	if d := l.Stats().ForwardDropped; d < 90 || d > 100 {
		t.Errorf("%d were dropped", d)
	}
	close(block)
	end(t, l)
	if len(got) < maxForward || got[0].Session != l.key.SessionHash("rs_abcdefghijklmnop") || got[0].Arguments != nil || got[0].Digest != ArgumentsDigest(call(0).Arguments) {
		t.Errorf("%d were forwarded, the first %+v", len(got), got[0])
	}
}

func TestContent(t *testing.T) {
	for _, cfg := range []Config{{Arguments: NoArguments, NoAddresses: true}, {Arguments: DigestOnly}, {Arguments: FullArguments}} {
		m, err := NewMemory(2, cfg)
		if err != nil {
			t.Fatal(err)
		}
		huge := call(1)
		huge.Arguments = json.RawMessage(`"` + strings.Repeat("x", maxArguments) + `"`)
		given := call(2)
		given.Digest = "sha256:given"
		add(t, m, call(0), huge, given)
		var got []Entry
		for e, err := range m.Query(t.Context(), Filter{Session: "rs_abcdefghijklmnop", Limit: 5}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if len(got) != 2 || got[0].RequestID != "r-1" || got[1].RequestID != "r-2" {
			t.Fatalf("%+v", got)
		}
		none := cfg.Arguments == NoArguments
		if (got[0].Digest == "") != none || (got[1].Digest == "sha256:given") == none || (got[0].Address == "") != cfg.NoAddresses {
			t.Errorf("%+v: %+v", cfg, got)
		}
		if len(got[0].Arguments) != 0 || (len(got[1].Arguments) > 0) != (cfg.Arguments == FullArguments) {
			t.Errorf("%+v: arguments %.20s, %s", cfg, got[0].Arguments, got[1].Arguments)
		}
	}
}

func TestCanceledWait(t *testing.T) {
	l := begin(t, Config{Fsync: FsyncAlways})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, call(0)); err != nil && fault.KindOf(err) != fault.Canceled {
		t.Errorf("%v", err)
	}
}

func TestValidate(t *testing.T) {
	err := Config{Fsync: "x", OnFull: "x", Arguments: "x", FsyncInterval: -1, FlushEvery: time.Hour, KeepFiles: -2, CheckpointEvery: -1, MaxFileBytes: 1, MaxQueue: -1, MaxQueueBytes: 1}.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 10 {
		t.Errorf("%v", err)
	}
	if err := (Config{Dir: "x"}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
