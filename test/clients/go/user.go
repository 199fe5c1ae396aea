package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
)

// sdk is what both libraries can do.
type sdk interface {
	// open connects, logs in if that is asked for, and negotiates.
	open(ctx context.Context) (version, server string, err error)
	tools(ctx context.Context) ([]string, error)
	// call returns the text of the result. A token asks for progress.
	call(ctx context.Context, tool string, arguments map[string]any, token string) (text string, isError bool, err error)
	resources(ctx context.Context) (int, error)
	templates(ctx context.Context) (int, error)
	read(ctx context.Context, uri string) (kind, text string, err error)
	subscribe(ctx context.Context, uri string) error
	prompts(ctx context.Context) ([]string, error)
	prompt(ctx context.Context, name string, arguments map[string]string) (string, error)
	// complete completes the argument of a prompt, or of the template of a URI.
	complete(ctx context.Context, prompt, template, argument, value string) ([]string, error)
	ping(ctx context.Context) error
	level(ctx context.Context, level string) error
	// cancels reports whether a context that ends stops the call at the server.
	cancels() bool
	// expire makes the library take its access token for expired.
	expire()
	close() error
}

// user is one client and what it sees.
type user struct {
	url, rev string
	tap      *tap
	inbox    *inbox
	desk     *desk // nil without a login
	sdk      sdk
	report   report
}

// inbox is what the server tells outside of answers.
type inbox struct {
	mu       sync.Mutex
	progress map[string][]float64 // by token
	updates  []string             // URIs
	logs     []string             // levels
}

func newInbox() *inbox { return &inbox{progress: map[string][]float64{}} }

func (b *inbox) onProgress(token any, n float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.progress[fmt.Sprint(token)] = append(b.progress[fmt.Sprint(token)], n)
}

func (b *inbox) onUpdate(uri string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates = append(b.updates, uri)
}

func (b *inbox) onLog(level string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs = append(b.logs, level)
}

func (b *inbox) see(look func(*inbox) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return look(b)
}

// envelope is the part of a result that is looked at.
type envelope struct {
	SessionID string `json:"sessionId"`
	Resource  string `json:"resource"`
	Result    struct {
		BestAction string `json:"bestAction"`
		Stats      struct {
			Mean float64 `json:"mean"`
		} `json:"stats"`
		Jobs []struct {
			JobID     string `json:"jobId"`
			Operation string `json:"operation"`
			State     string `json:"state"`
		} `json:"jobs"`
	} `json:"result"`
}

// tool calls a tool that must succeed.
func (u *user) tool(ctx context.Context, name string, arguments map[string]any, token string) (envelope, error) {
	var e envelope
	text, isError, err := u.sdk.call(ctx, name, arguments, token)
	if err != nil {
		return e, err
	}
	if isError {
		return e, fmt.Errorf("%s failed: %s", name, text)
	}
	return e, json.Unmarshal([]byte(text), &e)
}

// think runs an operation.
func (u *user) think(ctx context.Context, operation, session, token string, parameters map[string]any) (envelope, error) {
	arguments := map[string]any{"operation": operation, "parameters": maps.Clone(parameters)}
	if session != "" {
		arguments["sessionId"] = session
	}
	return u.tool(ctx, "clear_thought", arguments, token)
}
