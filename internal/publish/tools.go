package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// listedTools returns the tools that a program lists, in its order, from the
// lines of its answers to scripts/list-tools.sh.
func listedTools(lines []byte) ([]tool, error) {
	in := bufio.NewScanner(bytes.NewReader(lines))
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Result struct {
				Tools      []tool `json:"tools"`
				NextCursor string `json:"nextCursor"`
			} `json:"result"`
		}
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("read %q: %w", in.Text(), err)
		}
		if string(m.ID) != "2" {
			continue
		}
		if len(m.Result.Tools) == 0 || m.Result.NextCursor != "" {
			return nil, fmt.Errorf("want all tools on one page, got %q", in.Text())
		}
		return m.Result.Tools, nil
	}
	return nil, errors.Join(errors.New("tools/list was not answered"), in.Err())
}
