package middleware

import "testing"

func TestMCPClass(t *testing.T) {
	modern := func(method string) []string {
		return []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method}
	}
	for _, c := range []struct {
		name    string
		method  string
		headers []string
		want    Class
	}{
		{"a call", "POST", modern("tools/call"), Ordinary},
		{"a read", "POST", modern("resources/read"), Ordinary},
		{"a prompt", "POST", modern("prompts/get"), Ordinary},
		{"a waiting task", "POST", modern("tasks/result"), Ordinary},
		{"something unknown", "POST", modern("tools/listen"), Ordinary},
		{"another spelling", "POST", modern("Tools/List"), Ordinary},
		{"no method", "POST", modern(""), Ordinary},
		{"initialize", "POST", modern("initialize"), Control},
		{"discover", "POST", modern("server/discover"), Control},
		{"ping", "POST", modern("ping"), Control},
		{"tools", "POST", modern("tools/list"), Control},
		{"prompts", "POST", modern("prompts/list"), Control},
		{"resources", "POST", modern("resources/list"), Control},
		{"templates", "POST", modern("resources/templates/list"), Control},
		{"a cancel", "POST", modern("notifications/cancelled"), Control},
		{"a task's cancel", "POST", modern("tasks/cancel"), Control},
		{"a task's state", "POST", modern("tasks/get"), Control},
		{"a subscription", "POST", modern("subscriptions/listen"), Stream},
		{"a standing stream", "GET", nil, Stream},
		{"the end of a session", "DELETE", nil, Control},
		{"another method of HTTP", "PUT", nil, Control},
		{"no headers", "POST", nil, Ordinary},
		// Nobody holds these against the body.
		{"no revision", "POST", []string{"Mcp-Method", "ping"}, Ordinary},
		{"an older revision", "POST", []string{"MCP-Protocol-Version", "2025-11-25", "Mcp-Method", "ping"}, Ordinary},
		{"a revision to come", "POST", []string{"MCP-Protocol-Version", "2027-01-01", "Mcp-Method", "ping"}, Ordinary},
		{"two revisions", "POST", append(modern("ping"), "MCP-Protocol-Version", "2025-11-25"), Ordinary},
		{"two methods", "POST", append(modern("ping"), "Mcp-Method", "tools/call"), Ordinary},
	} {
		if got := MCPClass(request(c.method, "/mcp", c.headers...)); got != c.want {
			t.Errorf("%s: class %d, want %d", c.name, got, c.want)
		}
	}
	r := request("POST", "/mcp", modern("ping")...)
	r.RemoteAddr = StdioAddr
	if got := MCPClass(r); got != Ordinary {
		t.Errorf("in process: class %d, want %d", got, Ordinary)
	}
}
