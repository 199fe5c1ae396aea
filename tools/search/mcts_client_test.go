package search_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

// mctsClient is a desk where only mcts is used.
type mctsClient struct{ *desk }

func newMCTSClient(tb testing.TB) *mctsClient {
	tb.Helper()
	return &mctsClient{newDesk(tb)}
}

// send calls the facade and reads the result of a call that worked.
func (c *mctsClient) send(arguments string) (out search.MCTSOutput, e *tools.Envelope, err error) {
	c.Helper()
	e, err = c.call(strings.Replace(arguments, `"operation":"mcts"`, `"operation":"mcts","advanced":{}`, 1))
	if err == nil {
		if err := json.Unmarshal(e.Result, &out); err != nil {
			c.Fatal(err)
		}
	}
	return out, e, err
}

func mctsArguments(parameters string) string {
	return `{"operation":"mcts","parameters":` + parameters + `}`
}

// must is send for calls that have to work.
func (c *mctsClient) must(format string, args ...any) (search.MCTSOutput, *tools.Envelope) {
	c.Helper()
	out, e, err := c.send(mctsArguments(fmt.Sprintf(format, args...)))
	if err != nil {
		c.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
	return out, e
}

// refused asserts that a call fails at path and says want.
func (c *mctsClient) refused(path, want, format string, args ...any) {
	c.Helper()
	c.desk.refused(path, want, "mcts", format, args...)
}

func warned(e *tools.Envelope, code string) bool {
	for _, w := range e.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}
