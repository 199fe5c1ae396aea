package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type healthCmd struct {
	URL string `help:"Base URL of the server (${default})." default:"http://127.0.0.1:8383" placeholder:"URL"`
}

// run asks the server whether it takes work: for containers and scripts.
func (c *healthCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(c.URL, "/")+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("bad URL: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // only to show
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: status %d %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	_, err = fmt.Fprintln(p.stdout, "ready")
	return err
}
