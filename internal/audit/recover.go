package audit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// newWriter finds out where the log stands: it reads the newest file, cuts half
// a line off its end, and goes on there, or in a new file if it must.
func newWriter(l *Log) (*writer, error) {
	w := &writer{log: l, cfg: l.cfg}
	copy(w.chain.prev[:], zeroHash)
	all, err := Segments(w.cfg.Dir)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	cut, err := w.resume(all, now)
	if err != nil {
		return nil, err
	}
	if err := w.mend(); err != nil {
		return nil, err
	}
	if err := w.turn(now); err != nil {
		return nil, err
	}
	if cut > 0 {
		if err := w.recovered(now, cut); err != nil {
			return nil, err
		}
	}
	w.publish()
	return w, nil
}

// resume finds the newest file with a whole line and takes its end for that of
// the chain. It returns the bytes behind it.
func (w *writer) resume(all []Segment, now time.Time) (cut int64, err error) {
	for len(all) > 0 {
		last := all[len(all)-1]
		all = all[:len(all)-1]
		w.closed, w.number = all, last.Number
		c := newChecker(VerifyOptions{})
		size, err := c.path(last.Path, true)
		if err != nil {
			return 0, err
		}
		torn := size - c.end
		switch {
		case c.damage() != nil:
			w.damage = c.damage().String()
			w.cfg.Log.Error("the audit log was found damaged and goes on in a new file", "file", last.Path, "problem", w.damage)
			w.closed = append(all, last)
			w.stand(c)
			return 0, nil
		case c.rep.Records == 0: // nothing but perhaps half a first line
			if err := os.Remove(last.Path); err != nil {
				return 0, fmt.Errorf("remove an empty audit file: %w", err)
			}
			cut += torn
			w.number--
			continue
		}
		f, err := w.cfg.files(last.Path, false)
		if err != nil {
			return 0, fmt.Errorf("open an audit file: %w", err)
		}
		w.stand(c)
		w.segment = segment{file: f, name: last.Path, number: last.Number, size: c.end, trim: torn > 0, opened: c.begun}
		w.synced = w.chain.seq
		w.filled = c.rep.Records > uint64(c.rep.Signatures)
		// With another key or interval the promise of the first line would not hold.
		w.renew = c.key != w.log.key.id || c.every != uint64(w.cfg.CheckpointEvery)
		if w.chain.unsigned > 0 {
			w.chain.since = now
		}
		return cut + torn, nil
	}
	return cut, nil
}

// stand takes over where a checker stands.
func (w *writer) stand(c *checker) {
	w.chain.seq = c.seq
	copy(w.chain.prev[:], c.prev)
	w.chain.unsigned = int(c.unsigned)
	w.chain.checkpoint = c.rep.LastSigned
}

// recovered records that half a line was cut off.
func (w *writer) recovered(now time.Time, cut int64) error {
	part := appendText(appendTime(nil, now), "kind", string(Recovered), maxKind)
	part = appendNumber(part, "lost", uint64(cut))
	w.out = w.out[:0]
	w.line(now, appendText(part, "reason", "the log did not end with a whole line: its last bytes were cut off", maxReason))
	if err := w.write(); err != nil {
		return err
	}
	w.size += int64(len(w.out))
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.synced = w.chain.seq
	return nil
}

// lastLine returns the head of one file.
func lastLine(path string) (Head, error) {
	f, err := os.Open(path)
	if err != nil {
		return Head{}, fmt.Errorf("read the end of an audit file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Head{}, fmt.Errorf("read the end of an audit file: %w", err)
	}
	tail := make([]byte, min(info.Size(), 2*maxLine))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return Head{}, fmt.Errorf("read the end of %s: %w", path, err)
	}
	end := bytes.LastIndexByte(tail, '\n')
	if end < 0 {
		return Head{}, errNoLine
	}
	start := bytes.LastIndexByte(tail[:end], '\n') + 1
	e, err := ParseEntry(tail[start:end])
	if err != nil {
		return Head{}, fmt.Errorf("the last line of %s: %w", path, err)
	}
	return Head{Seq: e.Seq, Hash: e.Hash, Time: e.Time, File: path, Signed: e.Signed}, nil
}

// Head is where a log stands. Kept elsewhere, it shows later that the log was
// neither cut nor replaced.
type Head struct {
	Seq    uint64    `json:"seq"`
	Hash   string    `json:"hash"`
	Time   time.Time `json:"time"`
	File   string    `json:"file"`
	Signed bool      `json:"signed"`
}

var errNoLine = fmt.Errorf("there is no whole line: %w", os.ErrNotExist)

// ReadHead returns the head of the log in dir, also while it is written.
func ReadHead(ctx context.Context, dir string) (Head, error) {
	all, err := Segments(dir)
	if err != nil {
		return Head{}, err
	}
	err = fmt.Errorf("there is no audit log in %s: %w", dir, os.ErrNotExist)
	for i := len(all) - 1; i >= 0 && ctx.Err() == nil; i-- {
		var h Head
		if h, err = lastLine(all[i].Path); err == nil {
			return h, nil
		}
	}
	return Head{}, err
}
