package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/app"
)

type callCmd struct {
	settings
	Operation string `arg:"" help:"What to run: an operation, or one of session_create, session_list, session_delete, job_result, job_cancel, job_list."`
	JSON      string `name:"json" help:"Parameters: JSON, @FILE, or - for stdin." placeholder:"STR|@FILE|-"`
	Prompt    string `help:"The question or thought, in words." placeholder:"TEXT"`
	Session   string `help:"Reasoning session to continue." placeholder:"HANDLE"`
	URL       string `help:"MCP endpoint of a server; without it the operation runs in this process." placeholder:"URL" env:"LYCEUM_URL"`
	Token     string `help:"Bearer token for --url." placeholder:"TOKEN" env:"LYCEUM_TOKEN"`
}

func (c *callCmd) run(ctx context.Context, p process, given map[string][]string) error {
	tool, arguments, err := c.arguments(p)
	if err != nil {
		return err
	}
	url, transport := c.URL, http.DefaultTransport
	if url == "" {
		cfg, err := c.load(p, given, true)
		if err != nil {
			return err
		}
		if c.Config == "" && given["log-level"] == nil {
			cfg.Log.Level = "warn" // one call is not worth the records of a server
		}
		a, err := app.New(ctx, cfg, app.Options{Log: p.stderr, Env: p.env, Process: true, Local: true})
		if err != nil {
			return err
		}
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		stopped := make(chan error, 1)
		go func() { stopped <- a.Run(serving) }()
		defer func() { stop(); <-stopped }()
		url, transport = "http://localhost/mcp", a.Local(localUser())
	}
	return c.send(ctx, p, &http.Client{Transport: transport}, url, tool, arguments)
}

// facadeKeys are what the facade itself takes; JSON with one of them is taken as
// its arguments, any other as the operation's parameters.
var facadeKeys = []string{"prompt", "context", "sessionId", "parameters", "advanced", "idempotencyKey", "expectedVersion"}

// direct are the tools that are not operations of the facade.
var direct = []string{"session_create", "session_list", "session_delete", "job_result", "job_cancel", "job_list"}

// arguments reads what is to be sent and to which tool.
func (c *callCmd) arguments(p process) (string, json.RawMessage, error) {
	text := []byte("{}")
	var err error
	switch {
	case c.JSON == "-":
		text, err = io.ReadAll(p.stdin)
	case strings.HasPrefix(c.JSON, "@"):
		text, err = os.ReadFile(c.JSON[1:])
	case c.JSON != "":
		text = []byte(c.JSON)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the parameters: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return "", nil, fmt.Errorf("the parameters must be a JSON object: %w", err)
	}
	if slices.Contains(direct, c.Operation) {
		return c.Operation, text, nil
	}
	args := map[string]json.RawMessage{"parameters": text}
	for key := range members {
		if slices.Contains(facadeKeys, key) {
			args = members
		}
	}
	set := func(key, value string) {
		if value != "" {
			args[key], _ = json.Marshal(value) // a string always encodes
		}
	}
	set("operation", c.Operation)
	set("prompt", c.Prompt)
	set("sessionId", c.Session)
	out, err := json.Marshal(args)
	return "clear_thought", out, err
}

const callMeta = `{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"lyceum-call","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// send makes the call and prints the envelope. A result with an error is
// printed too, and ends the process with status 1.
func (c *callCmd) send(ctx context.Context, p process, client *http.Client, url, tool string, arguments json.RawMessage) error {
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":%s}}`, tool, arguments, callMeta)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool,
	} {
		req.Header.Set(k, v)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	var r struct {
		Result *struct {
			IsError    bool            `json:"isError"`
			Structured json.RawMessage `json:"structuredContent"`
		} `json:"result"`
		Error *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(answer, &r) != nil || (r.Result == nil && r.Error == nil) {
		return fmt.Errorf("the server answered with status %d, which is no MCP answer", resp.StatusCode)
	}
	if r.Error != nil {
		return fmt.Errorf("the server refused (status %d): %s", resp.StatusCode, r.Error.Message)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, r.Result.Structured, "", "  "); err != nil {
		return fmt.Errorf("the result is not JSON: %w", err)
	}
	if _, err := fmt.Fprintln(p.stdout, pretty.String()); err != nil {
		return err
	}
	if r.Result.IsError {
		return errSaid
	}
	return nil
}
