package bridge

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// line is one line of input, or why there is none.
type line struct {
	text    []byte
	tooLong bool
	err     error // io.EOF at the end
}

// endReader closes end when nothing more can be read. Its owner is readLines.
type endReader struct {
	io.Reader
	end  chan struct{}
	over bool
}

func (r *endReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !r.over {
		r.over = true
		close(r.end)
	}
	return n, err
}

// readLines sends the lines of in until it ends or stop is closed. A line over
// most bytes is reported and skipped, so that one bad message does not end the
// connection.
func readLines(in io.Reader, most int, lines chan<- line, stop <-chan struct{}) {
	r := bufio.NewReaderSize(in, 64<<10)
	send := func(l line) bool {
		select {
		case lines <- l:
			return true
		case <-stop:
			return false
		}
	}
	var text []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if !long && len(text)+len(part) <= most+1 {
			text = append(text, part...)
		} else {
			long, text = true, text[:0]
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l := line{text: bytes.Clone(bytes.TrimSpace(text)), tooLong: long}
		if (long || len(l.text) > 0) && !send(l) {
			return
		}
		if err != nil {
			send(line{err: err})
			return
		}
		text, long = text[:0], false
	}
}

// headerValue writes a value so that it survives a header: as it is when it is
// plain, in the base64 form of 2026-07-28 otherwise.
func headerValue(v string) string {
	plain := v == strings.TrimSpace(v) && !strings.HasPrefix(v, "=?base64?")
	for i := range len(v) {
		if v[i] < 0x20 || v[i] > 0x7e {
			plain = false
		}
	}
	if plain {
		return v
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
}
