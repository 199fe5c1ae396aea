package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cursor is the place in a stream that can be gone back to. Its owner is who reads
// the stream.
type cursor struct {
	last  string        // id of the last event, "" if it had none
	retry time.Duration // that the server wants before it is asked again, 0 if it said nothing
	ids   []string      // of the last events
	past  []string      // those of ids that came before the stream was taken up again: they are not taken twice
}

const (
	maxEventID    = 1 << 10 // bytes; longer ones are taken for none
	keptIDs       = 256
	mostRetry     = time.Minute
	eventBuffer   = 16 << 10
	eventOverhead = 8 // times MaxLine: an event may be longer than a line of input
)

var errLongEvent = errors.New("an event is too long")

// events calls take with the data of each event of a stream (HTML, server-sent
// events), until that returns true or the stream ends. Events without data are how
// a server gives an id before it has anything to say. What a cut left of an event
// is not an event. The data is take's to keep.
func (c *cursor) events(body io.Reader, most int, take func(data []byte) (enough bool)) (bool, error) {
	r := bufio.NewReaderSize(body, eventBuffer)
	var line, data []byte
	id, named := "", false
	dispatch := func() bool {
		text, again := bytes.TrimSpace(data), named && c.step(id)
		data, named = nil, false
		return len(text) > 0 && !again && take(text)
	}
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part)+len(data) > most {
			return false, errLongEvent
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			line = append(line, part...)
			continue
		}
		if line != nil {
			part = append(line, part...)
			line = nil
		}
		part = bytes.TrimRight(part, "\r\n")
		field, value, _ := bytes.Cut(part, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return false, err
		case len(part) == 0 && err == nil:
			if dispatch() {
				return true, nil
			}
		case string(field) == "data" && data == nil:
			data = slices.Clone(value)
		case string(field) == "data":
			data = append(append(data, '\n'), value...)
		case string(field) == "id" && err == nil:
			if text := string(value); usableID(text) {
				id, named = text, true
			}
		case string(field) == "retry" && err == nil:
			if ms, bad := strconv.ParseUint(string(value), 10, 31); bad == nil {
				c.retry = min(time.Duration(ms)*time.Millisecond, mostRetry)
			}
		}
		if err != nil { // the end, in order: some servers forget the last empty line
			return len(data) > 0 && whole(data) && dispatch(), nil
		}
	}
}

// step moves the cursor to an event, and reports whether it was there before.
func (c *cursor) step(id string) (again bool) {
	c.last = id
	if id == "" {
		return false
	}
	if slices.Contains(c.past, id) {
		return true
	}
	if len(c.ids) == keptIDs {
		c.ids = slices.Delete(c.ids, 0, keptIDs/2)
	}
	c.ids = append(c.ids, id)
	return false
}

// again prepares the cursor for the rest of its stream.
func (c *cursor) again() { c.past = slices.Clone(c.ids) }

// usableID reports whether an id can be sent back in a header.
func usableID(id string) bool {
	return len(id) <= maxEventID && strings.IndexFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// whole tells a message from the first part of one.
func whole(text []byte) bool {
	m, known := parse(text)
	return known && (m.Method != "" || m.answers() || m.Error != nil)
}
