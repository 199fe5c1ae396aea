package load

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 16 << 20

var errTooLong = errors.New("the answer is longer than 16 MiB")

// events reads an event stream to its end and hands the data of every event to
// fn, which must not keep it. An event with empty data is no message: it tells the
// client from where it could resume. buf is for the data and is returned, to be used
// again.
func events(r *bufio.Reader, buf []byte, fn func(data []byte)) ([]byte, error) {
	data := buf[:0]
	has := false // data lines in this event: an empty one counts
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part)+len(data) > maxAnswer {
			return data, errTooLong
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			line = append(line, part...)
			continue
		}
		if len(line) > 0 {
			line = append(line, part...)
			part = line
		}
		text := bytes.TrimRight(part, "\r\n")
		switch value, isData := bytes.CutPrefix(text, []byte("data:")); {
		case isData:
			if has {
				data = append(data, '\n')
			}
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
			has = true
		case len(text) == 0 && has && err == nil:
			if len(data) > 0 {
				fn(data)
			}
			data, has = data[:0], false
		}
		line = line[:0]
		switch {
		case errors.Is(err, io.EOF): // an event without its empty line is not one
			return data, nil
		case err != nil:
			return data, err
		}
	}
}
