package main

import "testing"

// An array that the server refuses is answered: its sender waits for an answer.
func TestDutyStdioRefusedArray(t *testing.T) {
	h := startHost(t)
	for _, line := range []string{`[]`, `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`} {
		if m := h.answered(`null`, line); m.Error == nil || m.Error.Code != -32600 {
			t.Errorf("%s: %s", line, h.out.Text())
		}
	}
	h.end()
}
