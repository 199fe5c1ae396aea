package identity

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	denyFileName = "denied.jsonl"
	maxDenyLine  = 64 << 10
)

// DenyFile is a DenyStore in a file: one change a line, the last one about an ID
// counts. It holds names of subjects and no secrets, and only its owner can read
// it. Two processes must not use one directory; the store of sessions, which
// lives there too, sees to that.
type DenyFile struct{ dir string }

// NewDenyFile returns the store in the directory dir, which is made when it is
// needed.
func NewDenyFile(dir string) *DenyFile { return &DenyFile{dir: dir} }

// denyLine is one line.
type denyLine struct {
	Denial
	Deleted bool `json:"deleted,omitempty"`
}

func (f *DenyFile) name() string { return filepath.Join(f.dir, denyFileName) }

// Load implements DenyStore. A last line that was cut off by a crash was never
// acknowledged and is left out; any other line that cannot be read is an error.
func (f *DenyFile) Load(ctx context.Context) ([]Denial, error) {
	doc, err := os.ReadFile(f.name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	whole := doc[:bytes.LastIndexByte(doc, '\n')+1]
	byID := make(map[string]Denial)
	lines := bufio.NewScanner(bytes.NewReader(whole))
	lines.Buffer(nil, maxDenyLine)
	number := 0
	for lines.Scan() {
		number++
		var l denyLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", f.name(), number, err)
		}
		if l.Deleted {
			delete(byID, l.ID)
		} else {
			byID[l.ID] = l.Denial
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s, after line %d: %w", f.name(), number, err)
	}
	all := make([]Denial, 0, len(byID))
	for _, d := range byID {
		all = append(all, d)
	}
	if len(whole) < len(doc) || number > 2*len(all)+slack {
		return all, f.Replace(ctx, all)
	}
	return all, nil
}

// Append implements DenyStore.
func (f *DenyFile) Append(_ context.Context, d Denial, deleted bool) error {
	line, err := json.Marshal(denyLine{d, deleted})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(f.name(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	before, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		if _, err = file.Write(append(line, '\n')); err == nil {
			err = file.Sync()
		}
		if err != nil {
			err = errors.Join(err, file.Truncate(before)) // half a line would spoil the next one
		}
	}
	return errors.Join(err, file.Close())
}

// Replace implements DenyStore.
func (f *DenyFile) Replace(_ context.Context, all []Denial) error {
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	for _, d := range all {
		if err := enc.Encode(denyLine{Denial: d}); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp(f.dir, denyFileName+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(doc.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), f.name())
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
